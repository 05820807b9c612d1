#include "train/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/autograd.h"
#include "core/hash.h"
#include "models/checkpoint/safetensors.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kState = "fathom.run";
// The last tensor of the file: the XXH3 of everything before it, as text. A hash among the metadata
// would have to be known before the first byte is written.
constexpr const char* kChecksum = "checksum";
constexpr int64_t kHexDigits = 32;

Json json_of(const RunState& state) {
  return {{"stage", state.stage},    {"step", state.step},       {"seed", state.seed},
          {"data", state.positions}, {"numbers", state.numbers}, {"config", state.config},
          {"code", state.code}};
}

RunState state_of(const std::string& text, const std::string& path) {
  try {
    const Json json = Json::parse(text);
    RunState state;
    json.at("stage").get_to(state.stage);
    json.at("step").get_to(state.step);
    json.at("seed").get_to(state.seed);
    json.at("data").get_to(state.positions);
    json.at("numbers").get_to(state.numbers);
    json.at("config").get_to(state.config);
    json.at("code").get_to(state.code);
    return state;
  } catch (const nlohmann::json::exception& error) {
    fail(path, ": the state of the run cannot be read: ", error.what());
  }
}

// Everything that a reader takes from the header is part of the sum, in a form of its own, so that
// no change of the file that means something passes.
void update_header(Hash128& hash, const std::map<std::string, std::string>& metadata) {
  for (const auto& [key, value] : metadata)
    hash.update(key + '\0' + std::to_string(value.size()) + '\0' + value + '\0');
}

void update_entry(Hash128& hash, const std::string& name, DType dtype, const Shape& shape) {
  std::ostringstream text;
  text << name << '\0' << dtype << '\0' << shape << '\0';
  hash.update(text.view());
}

OutputTensor output_of(const StateTensor& tensor, std::shared_ptr<Hash128> hash) {
  const Tensor published = published_view(tensor.tensor.detach(), tensor.order);
  return {tensor.name, published.dtype(), published.shape(),
          [published, hash, name = tensor.name](const OutputTensor::Sink& sink) {
            const NoGrad no_grad;
            const Tensor values = published.contiguous().to(kCpu);
            const int64_t begin = values.offset() * size_of(values.dtype());
            const std::span bytes(values.storage()->data() + begin, size_t(values.bytes()));
            update_entry(*hash, name, values.dtype(), values.shape());
            hash->update(bytes);
            sink(bytes);
          }};
}

void copy_whole(const fs::path& from, const fs::path& to) {
  const MappedFile source(from);
  AtomicFile target(to);
  target.write(source.bytes());
  target.commit();
}

}  // namespace

void write_checkpoint(const fs::path& path, const RunState& state,
                      std::span<const StateTensor> tensors,
                      const std::map<std::string, std::string>& metadata_in) {
  std::map<std::string, std::string> metadata = metadata_in;
  metadata[kState] = json_of(state).dump();
  const auto hash = std::make_shared<Hash128>();
  update_header(*hash, metadata);
  std::vector<OutputTensor> outputs;
  for (const StateTensor& tensor : tensors) outputs.push_back(output_of(tensor, hash));
  // The writer sorts by element size and keeps the order otherwise: bytes at the end come last.
  outputs.push_back(
      {kChecksum, DType::u8, Shape{kHexDigits}, [hash](const OutputTensor::Sink& sink) {
         const std::string hex = hash->hex();
         sink(std::as_bytes(std::span(hex)));
       }});
  write_safetensors(path, outputs, metadata);
}

Checkpoint read_checkpoint(const fs::path& path) {
  Checkpoint checkpoint{open_archive(path), {}};
  const Archive& archive = checkpoint.archive;
  const Entry* sum = archive.find(kChecksum);
  const auto text = archive.metadata.find(kState);
  check(sum && sum->dtype == DType::u8 && sum->bytes.size() == kHexDigits &&
            text != archive.metadata.end(),
        archive.path, ": not a checkpoint of a training run");
  Hash128 hash;
  update_header(hash, archive.metadata);
  for (const Entry& entry : archive.entries) {
    if (&entry == sum) continue;
    check(entry.contiguous(), archive.path, ": tensor ", entry.name, " is not contiguous");
    update_entry(hash, entry.name, entry.dtype, entry.shape);
    hash.update(entry.bytes);
    archive.drop(entry);
  }
  const std::string stored(reinterpret_cast<const char*>(sum->bytes.data()), kHexDigits);
  check(hash.hex() == stored, archive.path, ": its checksum does not hold, the file is damaged");
  checkpoint.state = state_of(text->second, archive.path);
  return checkpoint;
}

// The inverse of published_view.
static Tensor memory_view(const Tensor& published, AxisOrder order) {
  switch (order) {
    case AxisOrder::as_published: return published;
    case AxisOrder::conv: return published.transpose(1, 2).transpose(2, 3);
    case AxisOrder::conv_transpose:
      return published.transpose(0, 3).transpose(1, 2).transpose(0, 1);
  }
  fail("memory_view: unknown order ", int(order));
}

Tensor read_tensor(const Checkpoint& checkpoint, const std::string& name, AxisOrder order) {
  const NoGrad no_grad;
  const Entry& entry = checkpoint.archive.at(name);
  Tensor published = empty(entry.shape, {entry.dtype, kCpu});
  copy_elements(entry, entry.dtype, {published.storage()->data(), size_t(published.bytes())});
  checkpoint.archive.drop(entry);
  return memory_view(published, order).contiguous();
}

CheckpointFolder::CheckpointFolder(fs::path folder, int64_t keep)
    : folder_(std::move(folder)), keep_(keep) {
  std::error_code error;
  fs::create_directories(folder_, error);
  check(!error, folder_.string(), ": cannot create the folder: ", error.message());
  sweep();
}

// What a killed process left half-written.
void CheckpointFolder::sweep() const {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_))
    if (entry.path().filename().string().find(".safetensors.tmp-") != std::string::npos)
      fs::remove(entry.path(), ignored);
}

fs::path CheckpointFolder::path_of(int64_t step) const {
  char name[48];
  std::snprintf(name, sizeof name, "step-%09lld.safetensors", static_cast<long long>(step));
  return folder_ / name;
}

std::vector<fs::path> CheckpointFolder::steps() const {
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.ends_with(".safetensors")) paths.push_back(entry.path());
  }
  // By length first: steps beyond nine digits are newer than any shorter name.
  std::ranges::sort(paths, {}, [](const fs::path& path) {
    return std::pair(path.native().size(), path.native());
  });
  return paths;
}

void CheckpointFolder::save(const RunState& state, std::span<const StateTensor> tensors,
                            const std::map<std::string, std::string>& metadata, bool best) {
  const fs::path path = path_of(state.step);
  write_checkpoint(path, state, tensors, metadata);
  if (best) copy_whole(path, best_path());
  std::vector<fs::path> paths = steps();
  std::erase(paths, path);  // never the one just written, whatever its number
  std::error_code ignored;
  for (size_t i = 0; i + size_t(keep_) <= paths.size(); ++i) fs::remove(paths[i], ignored);
  sweep();
}

CheckpointFolder::Found CheckpointFolder::newest() const {
  Found found;
  std::vector<fs::path> paths = steps();
  for (auto path = paths.rbegin(); path != paths.rend() && !found.path; ++path) {
    try {
      found.checkpoint = read_checkpoint(*path);
      found.path = *path;
    } catch (const Error& error) {
      found.rejected.emplace_back(error.what());
    }
  }
  return found;
}

}  // namespace fathom
