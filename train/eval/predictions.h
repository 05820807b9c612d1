#pragma once

#include <filesystem>

#include "train/eval/evaluate.h"

namespace fathom {

/// Reads the map that belongs to an image from a folder: its path in the manifest or its name
/// alone, with .npy, .pfm, _depth.png or .png instead of the extension. Where the side file of
/// `fathom infer` lies beside it, that gives scale and offset of a PNG; otherwise a map counts as
/// `scale` times what is stored. kb_crop: maps are cut as KITTI's benchmark has it; those that are
/// cut already stay. Throws Error when there is no such folder. Reading throws Error when the side
/// file contradicts `kind`, or when two images would share one map.
Predictor folder_predictor(const std::filesystem::path& folder, DepthKind kind, double scale,
                           bool kb_crop);

}  // namespace fathom
