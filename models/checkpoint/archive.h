#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/file.h"
#include "models/checkpoint/elements.h"

namespace fathom {

/// One tensor of a checkpoint file: a validated view of the file's own bytes.
struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  Strides strides;                   // in elements, never negative
  std::span<const std::byte> bytes;  // from the first element to the last one, maybe unaligned
  /// Row-major without gaps.
  bool contiguous() const { return strides == contiguous_strides(shape); }
  /// The bytes of the elements themselves, numel * size.
  int64_t size_bytes() const { return shape.numel() * size_of(dtype); }
};

/// A tensor that the file holds and that cannot be asked for.
struct Skipped {
  std::string name;
  std::string reason;  // "has no elements", "element type I16 is not supported"
};

/// The tensors of one checkpoint, whatever its format, in the order of the file. Nothing is
/// copied: entries point into the mapped files, which live as long as the archive.
///
/// metadata: the string map of a safetensors file; the small scalars of a PyTorch checkpoint
///           ("epoch"); the fields of a neighbouring config.json, prefixed "config.", lists joined
///           by commas ("config.backbone_config.out_indices" = "3,6,9,12").
struct Archive {
  Archive() = default;
  Archive(std::string path, std::string format)
      : path(std::move(path)), format(std::move(format)) {}

  std::string path;    // what messages call the file
  std::string format;  // "safetensors", "safetensors, 3 shards", "PyTorch zip", "PyTorch legacy"
  std::vector<Entry> entries;
  std::vector<Skipped> skipped;
  std::map<std::string, std::string> metadata;
  std::vector<std::shared_ptr<const MappedFile>> files;

  /// The entry of that name, or nullptr.
  const Entry* find(std::string_view name) const;
  /// The entry of that name; throws Error that says why there is none.
  const Entry& at(std::string_view name) const;
  /// Tells the kernel that the pages of this entry are not needed for now.
  void drop(const Entry& entry) const;
  /// Sorts the index behind find(). Throws Error when two tensors have one name. Readers call it.
  void seal();

 private:
  std::vector<uint32_t> by_name_;
};

/// Maps a checkpoint and reads its table of tensors; the format is found by content.
///
/// path:   a .pth / .pt / .bin file (zip or legacy), a .safetensors file, a .safetensors.index.json
///         with its shards beside it, or a folder that holds one of them.
/// Throws  Error for everything else (TorchScript, TFLite, ONNX, ...), saying what the file is and
///         what to do, and for any length, offset or type that does not fit.
Archive open_archive(const std::filesystem::path& path);

/// The same for one file in memory, which must outlive the archive; `path` is for messages.
/// Memory used is at most 64 times the file's pickle or header plus 256 KiB.
Archive parse_archive(std::span<const std::byte> bytes, const std::string& path);

/// entry as contiguous row-major elements of dtype `to`; see copy_strided.
void copy_elements(const Entry& entry, DType to, std::span<std::byte> out);

}  // namespace fathom
