#pragma once

#include "core/image.h"
#include "train/data/depth_map.h"
#include "train/data/manifest.h"

namespace fathom {

/// Decodes what a manifest's entry names. Errors name the file.
Image8 load_image(const FileStore& files, const ManifestEntry& entry,
                  const ImageOptions& options = {});

/// The entry's label with its masks; the entry must be labeled.
DepthMap load_depth(const FileStore& files, const ManifestEntry& entry, DepthTarget target,
                    const ImageOptions& options = {});

}  // namespace fathom
