#pragma once

#include <bit>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/checkpoint/elements.h"

namespace fathom {

/// The values of one pickle, read by a machine that executes nothing.
///
/// Only the opcodes and globals that torch.save writes for state dicts and training dicts are
/// known; a call is noted, not made: `tensor` and `storage` values keep the arguments for the
/// caller to check. Strings stay in the file. Memory is at most 64 bytes per byte of the pickle
/// (a one-byte opcode can make one value of 32 bytes, a stack slot and a memo slot), time is
/// linear, and nothing recurses. Values may share parts and, in a hostile file, contain
/// themselves: who walks them must bound depth and steps.
class Pickle {
 public:
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    big_integer,
    real,
    text,
    tuple,
    list,
    dict,
    global,
    storage,
    tensor
  };
  enum class Global : uint8_t {
    ordered_dict,
    rebuild_tensor,
    rebuild_tensor_v2,
    rebuild_parameter,
    size,
    storage_type
  };
  using Id = uint32_t;
  struct Value {
    Kind kind;
    Global global = {};  // of a global
    // text, big_integer: offset and size in the pickle. tuple: first item and number of items.
    // list, dict: first and last cell plus one, 0 when empty. tensor, storage: first is the tuple
    // of arguments.
    uint32_t first = 0, last = 0;
    uint32_t source = 0;  // dict: a list of pairs that comes before its own cells, plus one
    int64_t integer = 0;  // of integer and boolean; the bits of a real
    const ElementType* element = nullptr;  // of a storage and of a global storage type
    double real() const { return std::bit_cast<double>(integer); }
  };

  /// Reads one pickle at the start of `bytes`; more may follow it. Throws Error, with `where` (the
  /// file and the record) and the position, for anything outside the set above.
  Pickle(std::span<const std::byte> bytes, const std::string& where);

  Id root() const { return root_; }
  size_t size_bytes() const { return size_; }  // up to and with STOP
  const Value& operator[](Id id) const { return values_[id]; }
  Kind kind(Id id) const { return values_[id].kind; }
  std::string_view text(Id id) const;  // of text or big_integer

  int64_t tuple_size(Id tuple) const { return values_[tuple].last; }
  Id tuple_item(Id tuple, int64_t i) const { return items_[size_t(values_[tuple].first + i)]; }

  /// Calls f(key, value) for the items of a dict, f(0, value) for those of a list, while it
  /// returns true. Throws Error when an OrderedDict was made from something other than pairs.
  template <class F>
  void for_each(Id container, F&& f) const;
  /// Calls f(id) for every storage, referenced or not.
  void for_each_storage(auto&& f) const {
    for (Id id = 0; id < Id(values_.size()); ++id)
      if (values_[id].kind == Kind::storage) f(id);
  }
  /// The last value under a text key, or nullptr.
  const Value* find(Id dict, std::string_view key) const;

 private:
  friend class PickleMachine;
  struct Cell {
    Id key, value;
    uint32_t next;  // plus one, 0 at the end
  };
  Id pair_item(Id pair, int i) const;

  std::span<const std::byte> bytes_;
  std::string where_;
  // Deques: growing never copies, so the peak is what the values need.
  std::deque<Value> values_;
  std::deque<Id> items_;
  std::deque<Cell> cells_;
  Id root_ = 0;
  size_t size_ = 0;
};

template <class F>
void Pickle::for_each(Id container, F&& f) const {
  if (const uint32_t source = values_[container].source) {
    for (uint32_t at = values_[source - 1].first; at != 0; at = cells_[at - 1].next) {
      const Id pair = cells_[at - 1].value;
      if (!f(pair_item(pair, 0), pair_item(pair, 1))) return;
    }
  }
  for (uint32_t at = values_[container].first; at != 0; at = cells_[at - 1].next)
    if (!f(cells_[at - 1].key, cells_[at - 1].value)) return;
}

}  // namespace fathom
