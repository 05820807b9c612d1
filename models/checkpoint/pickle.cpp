#include "models/checkpoint/pickle.h"

#include "models/checkpoint/bytes.h"

namespace fathom {

namespace {
// The opcodes of Python's pickletools that torch.save emits with protocols 2 to 5.
enum Op : uint8_t {
  kMark = '(',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kEmptyDict = '}',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinFloat = 'G',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95
};

struct KnownGlobal {
  std::string_view module, name;
  Pickle::Global global;
};
constexpr KnownGlobal kGlobals[] = {
    {"collections", "OrderedDict", Pickle::Global::ordered_dict},
    {"torch._utils", "_rebuild_tensor", Pickle::Global::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v2", Pickle::Global::rebuild_tensor_v2},
    {"torch._utils", "_rebuild_parameter", Pickle::Global::rebuild_parameter},
    {"torch", "Size", Pickle::Global::size},
};
constexpr size_t kMaxPickleBytes = size_t(1) << 30;  // offsets are 32 bits
constexpr uint32_t kUnset = ~uint32_t(0);
}  // namespace

std::string_view Pickle::text(Id id) const {
  return as_text(bytes_.subspan(values_[id].first, values_[id].last));
}

Pickle::Id Pickle::pair_item(Id pair, int i) const {
  const Value& value = values_[pair];
  if (value.kind == Kind::tuple && value.last == 2) return tuple_item(pair, i);
  // Python 2 wrote the pairs as lists of two.
  check(value.kind == Kind::list && value.first != 0 && cells_[value.first - 1].next != 0 &&
            cells_[cells_[value.first - 1].next - 1].next == 0,
        where_, ": an OrderedDict is made from something other than pairs of key and value");
  return cells_[(i == 0 ? value.first : cells_[value.first - 1].next) - 1].value;
}

const Pickle::Value* Pickle::find(Id dict, std::string_view key) const {
  const Value* found = nullptr;
  for_each(dict, [&](Id name, Id value) {
    if (kind(name) == Kind::text && text(name) == key) found = &values_[value];
    return true;
  });
  return found;
}

/// The stack, the marks and the memo, gone when the pickle has been read.
class PickleMachine {
 public:
  explicit PickleMachine(Pickle& pickle) : pickle_(pickle), bytes_(pickle.bytes_) {}

  void run() {
    while (step()) {
    }
    require(marks_.empty() && stack_.size() == 1, "STOP needs one value on the stack, found ",
            stack_.size());
    pickle_.root_ = stack_[0];
    pickle_.size_ = at_;
  }

 private:
  using Id = Pickle::Id;
  using Kind = Pickle::Kind;
  using Global = Pickle::Global;
  using Value = Pickle::Value;

  bool step();
  void reduce();
  void build();
  void set_items(size_t begin);
  void append(Id list, Id value) { add_cell(list, Pickle::Cell{0, value, 0}); }
  void add_cell(Id container, Pickle::Cell cell);

  void require(bool holds, const auto&... parts) const {
    if (!holds) [[unlikely]]
      refuse(parts...);
  }
  [[noreturn]] void refuse(const auto&... parts) const {
    fail(pickle_.where_, ": pickle byte ", opcode_at_, ": ", parts...);
  }

  template <class T>
  T number() {
    require(bytes_.size() - at_ >= sizeof(T), "the pickle ends inside an argument");
    const T value = little_endian<T>(bytes_, at_);
    at_ += sizeof(T);
    return value;
  }
  std::string_view line() {
    const std::string_view rest = as_text(bytes_.subspan(at_));
    const size_t end = rest.substr(0, 1024).find('\n');
    require(end != std::string_view::npos, "a name that does not end within 1024 bytes");
    at_ += end + 1;
    return rest.substr(0, end);
  }

  Id push(const Value& value) {
    pickle_.values_.push_back(value);
    stack_.push_back(Id(pickle_.values_.size() - 1));
    return stack_.back();
  }
  // Values that cannot change are made once.
  void push_shared(Id& id, const Value& value) {
    if (id == kUnset)
      id = push(value);
    else
      stack_.push_back(id);
  }
  void push_text(Kind kind, uint64_t size) {
    require(size <= bytes_.size() - at_, "a text of ", size, " bytes where ", bytes_.size() - at_,
            " are left");
    push({.kind = kind, .first = uint32_t(at_), .last = uint32_t(size)});
    at_ += size_t(size);
  }
  void push_integer(int64_t integer) { push({.kind = Kind::integer, .integer = integer}); }
  void push_long(uint8_t size) {
    if (size > 8) return push_text(Kind::big_integer, size);
    require(size <= bytes_.size() - at_, "the pickle ends inside an integer");
    uint64_t value = 0;
    for (int i = 0; i < size; ++i) value |= uint64_t(bytes_[at_ + size_t(i)]) << (8 * i);
    at_ += size;
    // Two's complement of `size` bytes: spread the sign.
    if (size > 0 && size < 8 && (value >> (8 * size - 1)) & 1) value |= ~uint64_t(0) << (8 * size);
    push_integer(int64_t(value));
  }
  void push_global(std::string_view module, std::string_view name);
  void push_tuple(size_t count) {
    require_values(count, "TUPLE");
    const size_t begin = stack_.size() - count;
    const uint32_t first = uint32_t(pickle_.items_.size());
    pickle_.items_.insert(pickle_.items_.end(), stack_.begin() + ptrdiff_t(begin), stack_.end());
    stack_.resize(begin);
    push({.kind = Kind::tuple, .first = first, .last = uint32_t(count)});
  }

  // The stack holds `count` values above the last mark.
  void require_values(size_t count, const char* opcode) const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    require(stack_.size() - floor >= count, opcode, " needs ", count, " values, the stack has ",
            stack_.size() - floor);
  }
  Id pop(const char* opcode) {
    require_values(1, opcode);
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  size_t pop_mark(const char* opcode) {
    require(!marks_.empty(), opcode, " without a MARK");
    const size_t begin = marks_.back();
    marks_.pop_back();
    return begin;
  }
  void put(uint32_t index) {
    require_values(1, "PUT");
    // A writer numbers the memo from 0 and each number costs it two bytes or more.
    require(index < bytes_.size(), "memo number ", index, " in a pickle of ", bytes_.size(),
            " bytes");
    if (index >= memo_.size()) memo_.resize(index + 1, kUnset);
    memo_[index] = stack_.back();
  }
  void get(uint32_t index) {
    require(index < memo_.size() && memo_[index] != kUnset, "memo number ", index,
            " was never stored");
    stack_.push_back(memo_[index]);
  }
  Id require_tuple(Id id, const char* what, int64_t at_least) const {
    require(pickle_.kind(id) == Kind::tuple && pickle_.tuple_size(id) >= at_least, what,
            " needs a tuple of at least ", at_least, " items");
    return id;
  }
  void require_kind(Id tuple, int64_t item, Kind kind, const char* what) const {
    require(pickle_.kind(pickle_.tuple_item(tuple, item)) == kind, what);
  }
  void push_storage(Id pid);

  Pickle& pickle_;
  std::span<const std::byte> bytes_;
  size_t at_ = 0, opcode_at_ = 0;
  std::vector<Id> stack_, memo_;
  std::vector<uint32_t> marks_;
  Id none_ = kUnset, true_ = kUnset, false_ = kUnset, empty_tuple_ = kUnset;
};

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& where)
    : bytes_(bytes), where_(where) {
  check(bytes.size() <= kMaxPickleBytes, where, ": a pickle of ", bytes.size(),
        " bytes; at most 1 GiB is read (a state dict needs a few hundred bytes a tensor)");
  PickleMachine(*this).run();
}

void PickleMachine::add_cell(Id container, Pickle::Cell cell) {
  pickle_.cells_.push_back(cell);
  const auto index = uint32_t(pickle_.cells_.size());  // plus one
  Value& value = pickle_.values_[container];
  if (value.last != 0)
    pickle_.cells_[value.last - 1].next = index;
  else
    value.first = index;
  value.last = index;
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  for (const KnownGlobal& known : kGlobals)
    if (known.module == module && known.name == name) {
      push({.kind = Kind::global, .global = known.global});
      return;
    }
  const ElementType* element = module == "torch" ? torch_storage_type(name) : nullptr;
  if (element == nullptr)
    refuse("the file wants to call ", shown(std::string(module) + "." + std::string(name)),
           ", which is not part of a state dict; nothing was executed. In Python, load it from a "
           "source you trust and save only the tensors: torch.save(model.state_dict(), path)");
  push({.kind = Kind::global, .global = Global::storage_type, .element = element});
}

// ("storage", storage type, key, location, number of elements[, view])
void PickleMachine::push_storage(Id pid) {
  require_tuple(pid, "a persistent id", 5);
  const Id tag = pickle_.tuple_item(pid, 0), type = pickle_.tuple_item(pid, 1);
  require(pickle_.kind(tag) == Kind::text && pickle_.text(tag) == "storage",
          "a persistent id that is no storage");
  require(pickle_.kind(type) == Kind::global && pickle_[type].global == Global::storage_type,
          "a storage without a storage type");
  require_kind(pid, 2, Kind::text, "the key of a storage must be a text");
  require_kind(pid, 4, Kind::integer, "the number of elements of a storage must be an integer");
  require(pickle_[pickle_.tuple_item(pid, 4)].integer >= 0, "a storage of ",
          pickle_[pickle_.tuple_item(pid, 4)].integer, " elements");
  push({.kind = Kind::storage, .first = pid, .element = pickle_[type].element});
}

void PickleMachine::reduce() {
  require_values(2, "REDUCE");
  const Id arguments = pop("REDUCE"), callable = pop("REDUCE");
  require(pickle_.kind(callable) == Kind::global && pickle_.kind(arguments) == Kind::tuple,
          "REDUCE of something other than a known function; nothing was executed");
  switch (pickle_[callable].global) {
    case Global::ordered_dict: {
      Value dict{.kind = Kind::dict};
      if (pickle_.tuple_size(arguments) > 0) {
        const Id list = pickle_.tuple_item(arguments, 0);
        require(pickle_.tuple_size(arguments) == 1 && pickle_.kind(list) == Kind::list,
                "an OrderedDict is made from nothing or from a list of pairs");
        dict.source = list + 1;
      }
      push(dict);
      return;
    }
    case Global::rebuild_tensor:
    case Global::rebuild_tensor_v2: {
      require_tuple(arguments, "_rebuild_tensor", 4);
      require_kind(arguments, 0, Kind::storage, "a tensor without a storage");
      require_kind(arguments, 1, Kind::integer, "the offset of a tensor must be an integer");
      require_kind(arguments, 2, Kind::tuple, "the size of a tensor must be a tuple");
      require_kind(arguments, 3, Kind::tuple, "the strides of a tensor must be a tuple");
      push({.kind = Kind::tensor, .first = arguments});
      return;
    }
    case Global::rebuild_parameter: {
      require_tuple(arguments, "_rebuild_parameter", 1);
      require_kind(arguments, 0, Kind::tensor, "a parameter that is no tensor");
      stack_.push_back(pickle_.tuple_item(arguments, 0));
      return;
    }
    case Global::size: {
      require_tuple(arguments, "torch.Size", 1);
      require_kind(arguments, 0, Kind::tuple, "torch.Size of something other than a tuple");
      stack_.push_back(pickle_.tuple_item(arguments, 0));
      return;
    }
    case Global::storage_type: break;
  }
  refuse("REDUCE of a storage type; nothing was executed");
}

// state_dict() hangs its version table on the dict this way; it is not needed.
void PickleMachine::build() {
  require_values(2, "BUILD");
  pop("BUILD");
  require(pickle_.kind(stack_.back()) == Kind::dict,
          "BUILD of something other than a dict; nothing was executed");
}

void PickleMachine::set_items(size_t begin) {
  require((stack_.size() - begin) % 2 == 0, "SETITEMS of an odd number of values");
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  require(begin > floor && pickle_.kind(stack_[begin - 1]) == Kind::dict,
          "SETITEM of something other than a dict");
  for (size_t i = begin; i < stack_.size(); i += 2)
    add_cell(stack_[begin - 1], {stack_[i], stack_[i + 1], 0});
  stack_.resize(begin);
}

bool PickleMachine::step() {
  opcode_at_ = at_;
  require(at_ < bytes_.size(), "the pickle ends without STOP; the file is incomplete");
  const auto op = uint8_t(bytes_[at_++]);
  switch (op) {
    case kProto: {
      const auto protocol = number<uint8_t>();
      require(protocol >= 2 && protocol <= 5, "protocol ", int(protocol), ", expected 2 to 5");
      return true;
    }
    case kFrame: number<uint64_t>(); return true;  // a hint for buffering
    case kStop: return false;
    case kMark: marks_.push_back(uint32_t(stack_.size())); return true;

    case kNone: push_shared(none_, {.kind = Kind::none}); return true;
    case kNewTrue: push_shared(true_, {.kind = Kind::boolean, .integer = 1}); return true;
    case kNewFalse: push_shared(false_, {.kind = Kind::boolean}); return true;
    case kBinInt: push_integer(number<int32_t>()); return true;
    case kBinInt1: push_integer(number<uint8_t>()); return true;
    case kBinInt2: push_integer(number<uint16_t>()); return true;
    case kLong1: push_long(number<uint8_t>()); return true;
    case kBinFloat: {  // the one big-endian number of the format
      push({.kind = Kind::real, .integer = int64_t(__builtin_bswap64(number<uint64_t>()))});
      return true;
    }
    case kShortBinString:
    case kShortBinUnicode: push_text(Kind::text, number<uint8_t>()); return true;
    case kBinString:
    case kBinUnicode: push_text(Kind::text, number<uint32_t>()); return true;
    case kBinUnicode8: push_text(Kind::text, number<uint64_t>()); return true;

    case kEmptyTuple: push_shared(empty_tuple_, {.kind = Kind::tuple}); return true;
    case kTuple1: push_tuple(1); return true;
    case kTuple2: push_tuple(2); return true;
    case kTuple3: push_tuple(3); return true;
    case kTuple: {
      const size_t begin = pop_mark("TUPLE");
      push_tuple(stack_.size() - begin);
      return true;
    }
    case kEmptyList: push({.kind = Kind::list}); return true;
    case kEmptyDict: push({.kind = Kind::dict}); return true;
    case kAppend: {
      require_values(2, "APPEND");
      const Id value = pop("APPEND");
      require(pickle_.kind(stack_.back()) == Kind::list, "APPEND to something other than a list");
      append(stack_.back(), value);
      return true;
    }
    case kAppends: {
      const size_t begin = pop_mark("APPENDS"), floor = marks_.empty() ? 0 : marks_.back();
      require(begin > floor && pickle_.kind(stack_[begin - 1]) == Kind::list,
              "APPENDS to something other than a list");
      for (size_t i = begin; i < stack_.size(); ++i) append(stack_[begin - 1], stack_[i]);
      stack_.resize(begin);
      return true;
    }
    case kSetItem:
      require_values(3, "SETITEM");
      set_items(stack_.size() - 2);
      return true;
    case kSetItems: set_items(pop_mark("SETITEMS")); return true;

    case kBinPut: put(number<uint8_t>()); return true;
    case kLongBinPut: put(number<uint32_t>()); return true;
    case kMemoize: put(uint32_t(memo_.size())); return true;
    case kBinGet: get(number<uint8_t>()); return true;
    case kLongBinGet: get(number<uint32_t>()); return true;

    case kGlobal: {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case kStackGlobal: {
      require_values(2, "STACK_GLOBAL");
      const Id name = pop("STACK_GLOBAL"), module = pop("STACK_GLOBAL");
      require(pickle_.kind(name) == Kind::text && pickle_.kind(module) == Kind::text,
              "STACK_GLOBAL of something other than two texts");
      push_global(pickle_.text(module), pickle_.text(name));
      return true;
    }
    case kBinPersId: push_storage(pop("BINPERSID")); return true;
    case kReduce: reduce(); return true;
    case kBuild: build(); return true;
    default:
      refuse("opcode ", int(op),
             " is not one that torch.save writes for a state dict; nothing was executed. In "
             "Python, save only the tensors: torch.save(model.state_dict(), path)");
  }
}

}  // namespace fathom
