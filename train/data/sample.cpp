#include "train/data/sample.h"

#include <optional>

#include "core/bytes.h"
#include "train/data/map_file.h"

namespace fathom {

// For messages: the name as a person can open it.
static std::string full_name(const FileStore& files, const std::string& name) {
  return (files.root() / name).string();
}

Image8 load_image(const FileStore& files, const ManifestEntry& entry, const ImageOptions& options) {
  const FileBytes file = files.open(entry.image);
  return read_image(file.bytes, full_name(files, entry.image), options);
}

static FloatMap load_map(const FileStore& files, const std::string& name, std::string_view key,
                         const ImageOptions& options) {
  const FileBytes file = files.open(name);
  return read_map(file.bytes, full_name(files, name), key, options);
}

DepthMap load_depth(const FileStore& files, const ManifestEntry& entry, DepthTarget target,
                    const ImageOptions& options) {
  check(entry.labeled(), full_name(files, entry.image), ": the manifest names no depth for it");
  FloatMap stored = load_map(files, entry.depth, entry.key, options);
  std::optional<FloatMap> mask, sky;
  if (!entry.mask.empty()) mask = load_map(files, entry.mask, {}, options);
  if (!entry.sky.empty()) sky = load_map(files, entry.sky, {}, options);
  return naming(full_name(files, entry.depth), [&] {
    return depth_map(std::move(stored), entry.format, target, mask ? &*mask : nullptr,
                     sky ? &*sky : nullptr);
  });
}

}  // namespace fathom
