#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace fathom {

/// Free pieces of memory: found by size, best fit, and merged by address.
class FreeList {
 public:
  /// A piece of exactly `bytes`, its rest still free; null if none is large enough.
  std::byte* take(int64_t bytes) {
    const auto best = by_size_.lower_bound({bytes, nullptr});
    if (best == by_size_.end()) return nullptr;
    const auto [size, piece] = *best;
    by_size_.erase(best);
    by_address_.erase(piece);
    if (size > bytes) insert(piece + bytes, size - bytes);
    return piece;
  }

  /// Merged with free neighbours, but not below `low` and not at `high` or above.
  void give_back(std::byte* piece, int64_t bytes, const std::byte* low, const std::byte* high) {
    const auto next = by_address_.lower_bound(piece);
    if (next != by_address_.end() && piece + bytes == next->first && next->first != high) {
      bytes += next->second;
      erase(next);
    }
    const auto after = by_address_.lower_bound(piece);
    if (after != by_address_.begin() && piece != low) {
      const auto before = std::prev(after);
      if (before->first + before->second == piece) {
        piece = before->first;
        bytes += before->second;
        erase(before);
      }
    }
    insert(piece, bytes);
  }

  /// Removes a piece that is free as a whole; false if it is not.
  bool remove(std::byte* piece, int64_t bytes) {
    const auto it = by_address_.find(piece);
    if (it == by_address_.end() || it->second != bytes) return false;
    erase(it);
    return true;
  }

  /// The free piece of the highest address: {null, 0} if there is none.
  std::pair<std::byte*, int64_t> last() const {
    if (by_address_.empty()) return {nullptr, 0};
    return *by_address_.rbegin();
  }

 private:
  void insert(std::byte* piece, int64_t bytes) {
    by_size_.insert({bytes, piece});
    by_address_.insert({piece, bytes});
  }
  void erase(std::map<std::byte*, int64_t>::iterator it) {
    by_size_.erase({it->second, it->first});
    by_address_.erase(it);
  }

  std::set<std::pair<int64_t, std::byte*>> by_size_;
  std::map<std::byte*, int64_t> by_address_;
};

}  // namespace fathom
