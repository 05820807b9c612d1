#include "models/checkpoint/flatten.h"

#include <sstream>

#include "models/checkpoint/bytes.h"

namespace fathom {

namespace {
constexpr int kMaxDepth = 24;
constexpr size_t kMaxNameBytes = 1024, kMaxTextBytes = 256, kMaxMetadataBytes = 64 << 10;

class Flattener {
 public:
  Flattener(const Pickle& pickle, const std::string& where, const StorageBytes& storage_bytes,
            Archive& archive)
      : pickle_(pickle),
        where_(where),
        storage_bytes_(storage_bytes),
        archive_(archive),
        // A tensor of a real file costs its pickle 60 bytes or more, a shared one 10.
        tensors_left_(pickle.size_bytes() / 8 + 8),
        steps_left_(4 * pickle.size_bytes() + 64),
        name_bytes_left_(4 * pickle.size_bytes() + 4096) {}

  void walk(Pickle::Id id, int depth) {
    switch (pickle_.kind(id)) {
      case Pickle::Kind::dict: walk_items(id, depth, true); return;
      case Pickle::Kind::list: walk_items(id, depth, false); return;
      case Pickle::Kind::tuple: walk_tuple(id, depth); return;
      case Pickle::Kind::tensor: add_tensor(pickle_[id]); return;
      default: add_metadata(id); return;
    }
  }

 private:
  void step() {
    check(steps_left_-- > 0, where_,
          ": its dicts share parts so often that the names would not "
          "end; not a checkpoint that torch.save wrote from a model");
  }
  // f with `part` appended to the name.
  void under(std::string_view part, auto&& f) {
    const size_t before = name_.size();
    if (before > 0) name_ += '.';
    check(part.size() <= kMaxNameBytes && name_.size() + part.size() <= kMaxNameBytes, where_,
          ": a name longer than ", kMaxNameBytes, " bytes, starting with ",
          shown(name_ + std::string(part.substr(0, 80))));
    name_ += part;
    f();
    name_.resize(before);
  }
  void check_depth(int depth) const {
    check(depth < kMaxDepth, where_, ": dicts nested deeper than ", kMaxDepth, " at ",
          shown(name_));
  }
  bool scalar(Pickle::Id id) const {
    const auto kind = pickle_.kind(id);
    return kind != Pickle::Kind::dict && kind != Pickle::Kind::list &&
           kind != Pickle::Kind::tuple && kind != Pickle::Kind::tensor;
  }

  void walk_items(Pickle::Id container, int depth, bool dict) {
    check_depth(depth);
    int64_t index = 0;
    pickle_.for_each(container, [&](Pickle::Id key, Pickle::Id value) {
      step();
      if (dict) {
        under(key_text(key), [&] { walk(value, depth + 1); });
      } else {
        // Numbers in lists (the parameter lists of optimisers) are of no use here.
        if (!scalar(value)) under(std::to_string(index), [&] { walk(value, depth + 1); });
        ++index;
      }
      return true;
    });
  }
  void walk_tuple(Pickle::Id tuple, int depth) {
    check_depth(depth);
    for (int64_t i = 0; i < pickle_.tuple_size(tuple); ++i) {
      step();
      const Pickle::Id value = pickle_.tuple_item(tuple, i);
      if (!scalar(value)) under(std::to_string(i), [&] { walk(value, depth + 1); });
    }
  }
  std::string key_text(Pickle::Id key) const {
    if (pickle_.kind(key) == Pickle::Kind::integer) return std::to_string(pickle_[key].integer);
    check(pickle_.kind(key) == Pickle::Kind::text, where_, ": a dict under ", shown(name_),
          " has a key that is neither a text nor an integer");
    const std::string_view text = pickle_.text(key);
    check(text.size() <= kMaxNameBytes, where_, ": a name of ", text.size(),
          " bytes, starting with ", shown(text), "; at most ", kMaxNameBytes, " are read");
    return std::string(text);
  }

  void add_metadata(Pickle::Id id) {
    std::ostringstream text;
    text.precision(17);
    switch (pickle_.kind(id)) {
      case Pickle::Kind::boolean: text << (pickle_[id].integer ? "true" : "false"); break;
      case Pickle::Kind::integer: text << pickle_[id].integer; break;
      case Pickle::Kind::real: text << pickle_[id].real(); break;
      case Pickle::Kind::text:
        if (pickle_.text(id).size() > kMaxTextBytes) return;
        text << pickle_.text(id);
        break;
      default: return;
    }
    const size_t cost = name_.size() + text.str().size() + 128;  // 128: a node of the map
    if (metadata_bytes_ + cost > kMaxMetadataBytes) return;
    metadata_bytes_ += cost;
    archive_.metadata[name_] = text.str();
  }

  void skip(std::string reason) { archive_.skipped.push_back({name_, std::move(reason)}); }

  void add_tensor(const Pickle::Value& tensor) {
    if (name_.empty()) name_ = "tensor";
    check(tensors_left_-- > 0 && name_.size() <= name_bytes_left_, where_,
          ": more tensors or longer names than a pickle of ", pickle_.size_bytes(),
          " bytes can hold without repeating itself");
    name_bytes_left_ -= name_.size();

    const Pickle::Value& storage = pickle_[pickle_.tuple_item(tensor.first, 0)];
    const int64_t offset = pickle_[pickle_.tuple_item(tensor.first, 1)].integer;
    const Pickle::Id size = pickle_.tuple_item(tensor.first, 2);
    const Pickle::Id stride = pickle_.tuple_item(tensor.first, 3);
    const int64_t rank = pickle_.tuple_size(size);
    check(rank == pickle_.tuple_size(stride) && rank <= 64, where_, ": tensor ", shown(name_),
          " has ", rank, " axes and ", pickle_.tuple_size(stride), " strides");
    std::vector<int64_t> extents, strides;
    for (int64_t axis = 0; axis < rank; ++axis) {
      extents.push_back(non_negative(pickle_.tuple_item(size, axis), "extent"));
      strides.push_back(non_negative(pickle_.tuple_item(stride, axis), "stride"));
    }
    const std::span<const std::byte> bytes = storage_bytes_(storage);
    if (const char* problem = shape_problem(extents)) return skip(problem);
    if (!storage.element->dtype)
      return skip("element type " + std::string(storage.element->name) + " is not supported");
    add_view(bytes, storage.element->size_bytes, *storage.element->dtype, offset,
             Shape(std::span<const int64_t>(extents)), strides);
  }
  int64_t non_negative(Pickle::Id id, const char* what) const {
    check(pickle_.kind(id) == Pickle::Kind::integer && pickle_[id].integer >= 0, where_,
          ": tensor ", shown(name_), " has an ", what, " that is not an integer of 0 or more");
    return pickle_[id].integer;
  }

  void add_view(std::span<const std::byte> storage, int64_t size_bytes, DType dtype, int64_t offset,
                const Shape& shape, const std::vector<int64_t>& strides) {
    const int64_t held = int64_t(storage.size()) / size_bytes;
    Strides kept = contiguous_strides(shape);
    int64_t span = 0;  // from the first element to the last
    bool fits = offset >= 0;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == 1) continue;  // its stride is never used; keep the plain one
      kept[axis] = strides[size_t(axis)];
      int64_t reach = 0;
      fits = fits && !__builtin_mul_overflow(shape[axis] - 1, kept[axis], &reach) &&
             !__builtin_add_overflow(span, reach, &span);
    }
    int64_t last = 0;
    check(fits && !__builtin_add_overflow(offset, span, &last) && last < held, where_, ": tensor ",
          shown(name_), " of shape ", shape, " at element ", offset,
          " reaches past its storage of ", held, " elements; the file is damaged");
    // Repeating one element along an axis would let a small file claim any size.
    if (shape.numel() > held) return skip("repeats its elements (a stride of 0)");
    archive_.entries.push_back(
        {name_, dtype, shape, kept,
         storage.subspan(size_t(offset * size_bytes), size_t((span + 1) * size_bytes))});
  }

  const Pickle& pickle_;
  const std::string& where_;
  const StorageBytes& storage_bytes_;
  Archive& archive_;
  std::string name_;
  size_t tensors_left_, steps_left_, name_bytes_left_, metadata_bytes_ = 0;
};
}  // namespace

void flatten(const Pickle& pickle, const std::string& where, const StorageBytes& storage_bytes,
             Archive& archive) {
  Flattener(pickle, where, storage_bytes, archive).walk(pickle.root(), 0);
}

}  // namespace fathom
