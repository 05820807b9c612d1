#include "models/checkpoint/safetensors.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "models/checkpoint/bytes.h"
#include "models/checkpoint/json_walk.h"

namespace fathom {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference reader
constexpr size_t kMaxAxes = 64;
constexpr const char* kMetadata = "__metadata__";

bool is_safetensors(std::span<const std::byte> bytes) {
  return bytes.size() >= 9 && little_endian<uint64_t>(bytes, 0) <= kMaxHeaderBytes &&
         char(bytes[8]) == '{';
}

namespace {
/// The header while it is read: one tensor at a time, checked when the next one starts.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> buffer, const std::string& path, Archive& archive)
      : buffer_(buffer), path_(path), archive_(archive) {}

  void event(const JsonPath& path, const JsonEvent& event) {
    if (path[0] == kMetadata) return metadata(path, event);
    if (path.size() == 1) {
      require(event.kind == JsonEvent::Kind::object, path[0], "is not an object");
      finish();
      name_ = path[0];
      open_ = true;
    } else if (path.size() == 2 && path[1] == "dtype") {
      require(event.kind == JsonEvent::Kind::text && type_name_.empty() && !event.text.empty(),
              name_, "needs one dtype, a text");
      type_name_ = event.text.substr(0, 32);
    } else if (path.size() == 2 && path[1] == "shape") {
      require(event.kind == JsonEvent::Kind::array && !has_shape_, name_,
              "needs one shape, a list");
      has_shape_ = true;
    } else if (path.size() == 2 && path[1] == "data_offsets") {
      require(event.kind == JsonEvent::Kind::array && !has_offsets_, name_,
              "needs one pair of data_offsets");
      has_offsets_ = true;
    } else if (path.size() == 3 && path[1] == "shape") {
      require(event.kind == JsonEvent::Kind::unsigned_integer && event.integer < (1ull << 62) &&
                  extents_.size() < kMaxAxes,
              name_, "has a shape that is not a short list of sizes");
      extents_.push_back(int64_t(event.integer));
    } else if (path.size() == 3 && path[1] == "data_offsets") {
      require(event.kind == JsonEvent::Kind::unsigned_integer && offsets_.size() < 2, name_,
              "has data_offsets that are not a pair of integers");
      offsets_.push_back(event.integer);
    } else {
      fail(path_, ": tensor ", shown(name_), " has an unknown field ", shown(path[1]));
    }
  }

  // The tensor whose fields have all been seen.
  void finish() {
    if (!open_) return;
    require(!type_name_.empty() && has_shape_ && offsets_.size() == 2, name_,
            "lacks its dtype, shape or data_offsets");
    const ElementType* const type = safetensors_type(type_name_);
    const uint64_t begin = offsets_[0], end = offsets_[1];
    check(begin <= end && end <= buffer_.size(), path_, ": tensor ", shown(name_),
          " has data_offsets [", begin, ", ", end, "], outside the ", buffer_.size(),
          " bytes of data; the file is incomplete or damaged");
    ranges_.push_back({begin, end});
    if (type == nullptr) {
      skip("element type " + type_name_ + " is not supported");
    } else {
      check_size(*type, end - begin);
      const char* const problem = shape_problem(extents_);
      if (problem != nullptr) {
        skip(problem);
      } else if (!type->dtype) {
        skip("element type " + type_name_ + " is not supported");
      } else {
        const Shape shape{std::span<const int64_t>(extents_)};
        archive_.entries.push_back({std::move(name_), *type->dtype, shape,
                                    contiguous_strides(shape),
                                    buffer_.subspan(size_t(begin), size_t(end - begin))});
      }
    }
    open_ = has_shape_ = has_offsets_ = false;
    type_name_.clear();
    extents_.clear();
    offsets_.clear();
  }

  void check_coverage() {
    std::ranges::sort(ranges_);
    uint64_t covered = 0;
    for (const auto& [begin, end] : ranges_) {
      check(begin == covered, path_, ": the tensors leave a gap or overlap at byte ", covered,
            " of the data (the next one starts at ", begin, "); the file is damaged");
      covered = end;
    }
    check(covered == buffer_.size(), path_, ": the tensors cover ", covered, " bytes of ",
          buffer_.size(), "; the file is damaged or has something appended");
  }

 private:
  void require(bool holds, std::string_view name, const char* what) const {
    check(holds, path_, ": tensor ", shown(name), " ", what);
  }
  void skip(std::string reason) { archive_.skipped.push_back({name_, std::move(reason)}); }

  void metadata(const JsonPath& path, const JsonEvent& event) {
    if (path.size() == 1) {
      check(event.kind == JsonEvent::Kind::object && !has_metadata_, path_,
            ": __metadata__ must be one object");
      has_metadata_ = true;
      return;
    }
    check(path.size() == 2 && event.kind == JsonEvent::Kind::text, path_, ": __metadata__ field ",
          shown(path[1]), " must be a text");
    archive_.metadata[path[1]] = event.text;
  }

  void check_size(const ElementType& type, uint64_t held) const {
    uint64_t size = uint64_t(type.size_bytes);
    bool fits = true;
    for (const int64_t extent : extents_)
      fits = fits && !__builtin_mul_overflow(size, uint64_t(extent), &size);
    // A zero after an overflow still means no elements.
    if (!fits && std::ranges::count(extents_, 0) > 0) fits = (size = 0, true);
    check(fits && size == held, path_, ": tensor ", shown(name_), " of dtype ", type.name,
          " holds ", held, " bytes, which is not what its shape needs; the file is damaged");
  }

  std::span<const std::byte> buffer_;
  const std::string& path_;
  Archive& archive_;
  std::string name_, type_name_;
  std::vector<int64_t> extents_;
  std::vector<uint64_t> offsets_;
  std::vector<std::pair<uint64_t, uint64_t>> ranges_;
  bool open_ = false, has_shape_ = false, has_offsets_ = false, has_metadata_ = false;
};
}  // namespace

Archive parse_safetensors(std::span<const std::byte> bytes, const std::string& path) {
  check(bytes.size() >= 8, path, ": ", bytes.size(), " bytes are too few for a safetensors file");
  const auto header_size = little_endian<uint64_t>(bytes, 0);
  check(header_size <= kMaxHeaderBytes, path, ": a safetensors header of ", header_size,
        " bytes; at most ", kMaxHeaderBytes, " are allowed");
  const auto header = slice(bytes, 8, header_size);
  check(header.has_value(), path, ": a safetensors header of ", header_size, " bytes in a file of ",
        bytes.size(), "; the file is incomplete: download or copy it again");
  Archive archive(path, "safetensors");
  HeaderReader reader(bytes.subspan(8 + size_t(header_size)), path, archive);
  walk_json(as_text(*header), path + ": header", 3,
            [&](const JsonPath& at, const JsonEvent& event) { reader.event(at, event); });
  reader.finish();
  reader.check_coverage();
  archive.seal();
  return archive;
}

namespace {
struct Placed {
  std::string name, shard;
};
}  // namespace

static std::vector<Placed> read_weight_map(const std::filesystem::path& index) {
  std::vector<Placed> placed;
  walk_json(read_text(index), index.string(), 8, [&](const JsonPath& at, const JsonEvent& event) {
    if (at[0] != "weight_map" || at.size() == 1) return;
    check(at.size() == 2 && event.kind == JsonEvent::Kind::text, index.string(),
          ": weight_map field ", shown(at[1]), " must name a file");
    const std::string shard(event.text);
    // A shard lies beside its index; a path out of the folder is not followed.
    check(shard.ends_with(".safetensors") && shard.find('/') == std::string::npos &&
              shard.find('\0') == std::string::npos,
          index.string(), ": weight_map names the file ", shown(shard),
          "; expected a .safetensors file in the same folder");
    placed.push_back({at[1], shard});
  });
  check(!placed.empty(), index.string(), ": no weight_map; expected the index of a sharded model");
  std::ranges::sort(placed, {}, &Placed::name);
  const auto twin = std::ranges::adjacent_find(placed, {}, &Placed::name);
  if (twin != placed.end())
    fail(index.string(), ": weight_map lists ", shown(twin->name), " twice");
  return placed;
}

Archive open_sharded_safetensors(const std::filesystem::path& index) {
  const std::vector<Placed> placed = read_weight_map(index);
  std::vector<std::string> shards;
  for (const Placed& tensor : placed) shards.push_back(tensor.shard);
  std::ranges::sort(shards);
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());

  Archive all(index.string(), "safetensors, " + std::to_string(shards.size()) + " shards");
  size_t found = 0;
  for (const std::string& shard : shards) {
    const std::filesystem::path path = index.parent_path() / shard;
    check(std::filesystem::exists(path), index.string(), ": the shard ", shown(shard),
          " is missing; download it into the same folder");
    auto file = std::make_shared<const MappedFile>(path);
    Archive part = parse_safetensors(file->bytes(), path.string());
    const auto check_placed = [&](const std::string& name) {
      const auto at = std::ranges::lower_bound(placed, name, {}, &Placed::name);
      check(at != placed.end() && at->name == name && at->shard == shard, path.string(),
            ": holds tensor ", shown(name), ", which ", index.filename().string(),
            " does not place here; the shards belong to different downloads");
      ++found;
    };
    for (const Entry& entry : part.entries) check_placed(entry.name);
    for (const Skipped& skipped : part.skipped) check_placed(skipped.name);
    std::ranges::move(part.entries, std::back_inserter(all.entries));
    std::ranges::move(part.skipped, std::back_inserter(all.skipped));
    all.metadata.merge(part.metadata);
    all.files.push_back(std::move(file));
  }
  check(found == placed.size(), index.string(), ": lists ", placed.size(),
        " tensors, but the shards hold ", found, "; download the shards again");
  all.seal();
  return all;
}

OutputTensor output_tensor(std::string name, DType dtype, const Shape& shape,
                           std::span<const std::byte> bytes) {
  return {std::move(name), dtype, shape, [bytes](const OutputTensor::Sink& sink) { sink(bytes); }};
}

static int64_t size_bytes(const OutputTensor& tensor) {
  return tensor.shape.numel() * size_of(tensor.dtype);
}

// The JSON text, padded with spaces so that the buffer after it starts on a 64-byte boundary.
static std::string header_text(std::span<const OutputTensor* const> tensors,
                               const std::map<std::string, std::string>& metadata) {
  const auto text = [](std::string_view raw) { return nlohmann::json(raw).dump(); };
  std::string header = "{";
  const auto separate = [&] {
    if (header.size() > 1) header += ',';
  };
  if (!metadata.empty()) header += text(kMetadata) + ":" + nlohmann::json(metadata).dump();
  int64_t offset = 0;
  for (const OutputTensor* tensor : tensors) {
    separate();
    header += text(tensor->name) + ":{\"dtype\":" + text(safetensors_name(tensor->dtype)) +
              ",\"shape\":[";
    for (int axis = 0; axis < tensor->shape.rank(); ++axis)
      header += (axis ? "," : "") + std::to_string(tensor->shape[axis]);
    const int64_t end = offset + size_bytes(*tensor);
    header += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  header += '}';
  header.resize(size_t(round_up(int64_t(header.size()) + 8, 64)) - 8, ' ');
  return header;
}

void write_safetensors(const std::filesystem::path& path, std::span<const OutputTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const OutputTensor*> order;
  for (const OutputTensor& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, &OutputTensor::name);
  const auto twin = std::ranges::adjacent_find(order, {}, &OutputTensor::name);
  if (twin != order.end()) fail(path.string(), ": two tensors are named ", shown((*twin)->name));
  order.clear();
  for (const OutputTensor& tensor : tensors) {
    check(tensor.name != kMetadata, path.string(), ": a tensor cannot be named __metadata__");
    order.push_back(&tensor);
  }
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [](const OutputTensor* tensor) { return size_of(tensor->dtype); });

  std::string header;
  try {
    header = header_text(order, metadata);
  } catch (const nlohmann::json::exception&) {
    fail(path.string(), ": a tensor name or a metadata field is not valid UTF-8");
  }
  check(header.size() <= kMaxHeaderBytes, path.string(), ": the header would be ", header.size(),
        " bytes, more than safetensors allows");
  AtomicFile file(path);
  const uint64_t header_size = header.size();
  file.write(std::as_bytes(std::span(&header_size, 1)));
  file.write(header);
  for (const OutputTensor* tensor : order) {
    int64_t written = 0;
    tensor->produce([&](std::span<const std::byte> piece) {
      written += int64_t(piece.size());
      check(written <= size_bytes(*tensor), path.string(), ": tensor ", shown(tensor->name),
            " produced more than its ", size_bytes(*tensor), " bytes");
      file.write(piece);
    });
    check(written == size_bytes(*tensor), path.string(), ": tensor ", shown(tensor->name),
          " produced ", written, " bytes of ", size_bytes(*tensor));
  }
  file.commit();
}

}  // namespace fathom
