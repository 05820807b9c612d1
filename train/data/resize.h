#pragma once

#include <cstdint>
#include <span>

#include "core/image.h"
#include "models/preprocess.h"
#include "train/data/depth_map.h"

namespace fathom {

/// A part of a resized picture: what is resized to `full` and then cut out at (top, left), mirrored
/// if `flip`.
struct CropWindow {
  ImageSize full;
  int64_t top = 0, left = 0, height = 0, width = 0;
  bool flip = false;
};

/// The window of a photo, bicubic as `preprocess` (models/preprocess.h) but in float: values / 255,
/// overshoot kept, then (value - mean) / deviation. Only what the window needs is computed.
/// out: [window.height, window.width, 3].
void resize_crop(const Image8& photo, const CropWindow& window, std::span<float> out,
                 const Normalization& normalization = kNoNormalization);

/// The window of a label, by OpenCV's INTER_NEAREST (index floor(i * scale)), so valid and invalid
/// pixels do not mix. The label may have another size than the photo.
/// values, mask: [window.height, window.width].
void resize_crop(const DepthMap& map, const CropWindow& window, std::span<float> values,
                 std::span<bool> mask);

}  // namespace fathom
