#include "models/checkpoint/archive.h"

#include <algorithm>
#include <numeric>

#include "models/checkpoint/bytes.h"
#include "models/checkpoint/config_json.h"
#include "models/checkpoint/safetensors.h"
#include "models/checkpoint/torch_file.h"

namespace fathom {

void Archive::seal() {
  entries.shrink_to_fit();
  by_name_.resize(entries.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  const auto name_of_index = [this](uint32_t i) -> const std::string& { return entries[i].name; };
  std::ranges::sort(by_name_, {}, name_of_index);
  const auto twin = std::ranges::adjacent_find(by_name_, {}, name_of_index);
  if (twin != by_name_.end())
    fail(path, ": two tensors are named ", shown(entries[*twin].name), "; the file is damaged");
}

const Entry* Archive::find(std::string_view name) const {
  const auto at = std::ranges::lower_bound(
      by_name_, name, {}, [this](uint32_t i) -> std::string_view { return entries[i].name; });
  return at != by_name_.end() && entries[*at].name == name ? &entries[*at] : nullptr;
}

const Entry& Archive::at(std::string_view name) const {
  if (const Entry* entry = find(name)) return *entry;
  for (const Skipped& tensor : skipped)
    if (tensor.name == name) fail(path, ": tensor ", shown(name), " ", tensor.reason);
  fail(path, ": no tensor ", shown(name), " among its ", entries.size());
}

void Archive::drop(const Entry& entry) const {
  for (const auto& file : files) {
    const std::span<const std::byte> all = file->bytes();
    if (entry.bytes.data() >= all.data() &&
        entry.bytes.data() + entry.bytes.size() <= all.data() + all.size())
      return file->drop(entry.bytes);
  }
}

void copy_elements(const Entry& entry, DType to, std::span<std::byte> out) {
  copy_strided(entry.bytes, entry.dtype, entry.shape, entry.strides, to, out);
}

// What a file that is no checkpoint most likely is, and what to do; empty when unknown.
static std::string other_format(std::span<const std::byte> bytes) {
  const std::string_view text = as_text(bytes.first(std::min<size_t>(bytes.size(), 512)));
  const auto starts = [&](std::string_view magic) { return text.starts_with(magic); };
  if (text.empty()) return "the file is empty; download or copy it again";
  if (text.size() >= 8 && text.substr(4, 4) == "TFL3")
    return "a TensorFlow Lite model; its weights are for another runtime and are not read";
  if (text.size() >= 262 && text.substr(257, 5) == "ustar")
    return "a tar archive (the PyTorch 0.1 format or a packed download); unpack it, or load it "
           "with an old PyTorch and save it again with torch.save";
  if (starts("version https://git-lfs"))
    return "a Git LFS pointer, not the weights; fetch them with: git lfs pull";
  if (starts("<!") || starts("<html") || starts("<?xml"))
    return "a web page, not the weights; the download failed";
  if (starts("GGUF")) return "a GGUF model; convert it back to safetensors first";
  if (starts("\x89HDF")) return "an HDF5 (Keras) file, which is not read";
  if (starts("\x93NUMPY")) return "one NumPy array, not a checkpoint";
  if (starts("\x1f\x8b")) return "a gzip archive; unpack it first";
  if (starts("\x89PNG") || starts("\xff\xd8\xff")) return "an image, not a checkpoint";
  if (starts("\x80")) return "a Python pickle that torch.save did not write; it is not executed";
  if (starts("{"))
    return "a JSON text; give the .safetensors file, or the "
           "*.safetensors.index.json of a sharded model";
  if (starts("\x08")) return "perhaps an ONNX model, which is not read";
  return "an unknown format";
}

Archive parse_archive(std::span<const std::byte> bytes, const std::string& path) {
  if (is_safetensors(bytes)) return parse_safetensors(bytes, path);
  const std::string_view text = as_text(bytes.first(std::min<size_t>(bytes.size(), 4)));
  if (text == "PK\x03\x04" || text == "PK\x05\x06") return parse_torch_zip(bytes, path);
  if (is_torch_legacy(bytes)) return parse_torch_legacy(bytes, path);
  fail(path, ": not a checkpoint: ", other_format(bytes),
       ". Expected a PyTorch .pth state dict or a .safetensors file");
}

static std::filesystem::path find_in_folder(const std::filesystem::path& folder) {
  for (const char* name :
       {"model.safetensors.index.json", "model.safetensors", "pytorch_model.bin"})
    if (std::filesystem::exists(folder / name)) return folder / name;
  fail(folder.string(),
       ": a folder without model.safetensors, model.safetensors.index.json or "
       "pytorch_model.bin; give the checkpoint file itself");
}

Archive open_archive(const std::filesystem::path& given) {
  const std::filesystem::path path =
      std::filesystem::is_directory(given) ? find_in_folder(given) : given;
  const std::string name = path.filename().string();
  Archive archive;
  if (name.ends_with(".safetensors.index.json")) {
    archive = open_sharded_safetensors(path);
  } else {
    auto file = std::make_shared<const MappedFile>(path);
    archive = parse_archive(file->bytes(), path.string());
    archive.files.push_back(std::move(file));
  }
  // A config.json speaks for the one model of its folder, not for any file put beside it.
  const bool whole_folder = name.starts_with("model.safetensors") || name == "pytorch_model.bin";
  if (whole_folder && std::filesystem::exists(path.parent_path() / "config.json"))
    read_config_json(path.parent_path() / "config.json", archive.metadata);
  return archive;
}

}  // namespace fathom
