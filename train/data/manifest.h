#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "train/data/depth_map.h"
#include "train/data/file_store.h"

namespace fathom {

/// One line of a manifest. File names are relative to its folder and may be members of tar archives
/// (train/data/file_store.h).
struct ManifestEntry {
  std::string image = {};
  std::string depth = {};           // empty: unlabeled
  std::string mask = {}, sky = {};  // maps beside the depth: where it counts, where the sky is
  std::string key = {};             // array, channel or data set within the depth file
  LabelFormat format = {};
  std::string dataset = {}, split = {};
  bool labeled() const { return !depth.empty(); }
};

/// A data set: a text file of one JSON object a line.
///
///   {"image": "rgb/1.jpg", "depth": "d/1.png", "kind": "depth", "scale": 0.001, "unit": "m"}
///   {"image": "shard-000.tar:2.jpg", "dataset": "sa1b", "split": "train"}
///
/// image (required), depth, kind ("depth" or "disparity", required beside depth), scale (1), unit
/// ("relative"; "m", "cm", "mm" of depth; "1/m" of disparity; "px"), invalid and sky_values (a
/// marker or a list of them, see Marker), mask, mask_above (0), sky, key, percentiles ([0, 100]),
/// refuse_below, ray_focal_px, dataset, split.
/// The file stays mapped and is parsed line by line on demand: 8 bytes of memory an entry.
class Manifest {
 public:
  /// Keeps the entries of one split, or all when `split` is empty. Reads every line once. Throws
  /// Error naming file, line, field and remedy; also when no entry is left.
  explicit Manifest(const std::filesystem::path& path, std::string_view split = {});

  int64_t size() const { return int64_t(lines_.size()); }
  /// How many entries have a depth file.
  int64_t labeled() const { return labeled_; }
  /// Any thread may call it.
  ManifestEntry entry(int64_t index) const;
  const FileStore& files() const { return *files_; }
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  std::string_view text() const;

  std::unique_ptr<MappedFile> file_;
  std::unique_ptr<FileStore> files_;
  std::vector<uint64_t> lines_;  // where each entry's line begins
  int64_t labeled_ = 0;
};

}  // namespace fathom
