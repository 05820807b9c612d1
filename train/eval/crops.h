#pragma once

#include <string>

#include "core/float_map.h"
#include "core/image.h"

namespace fathom {

/// Rows top..bottom and columns left..right, the ends not included.
struct CropBox {
  int64_t top = 0, left = 0, bottom = 0, right = 0;
  int64_t height() const { return bottom - top; }
  int64_t width() const { return right - left; }
  bool operator==(const CropBox&) const = default;
};

/// The part of an image that counts.
enum class EvalCrop {
  none,
  garg,         // KITTI, relative to the size
  eigen_kitti,  // KITTI, relative to the size
  eigen_nyu,    // rows 45..471 and columns 41..601 whatever the size, as the reference has it
};

/// "none", "garg", "eigen_kitti" or "eigen_nyu"; throws Error listing them.
EvalCrop crop_of(const std::string& name);
std::string name_of(EvalCrop crop);

/// The box of a crop in an image of that size. Throws Error where nothing would be left.
/// Source: Bhat et al., "ZoeDepth" (2023), compute_metrics, which Depth Anything uses.
CropBox crop_box(EvalCrop crop, ImageSize size);

/// KITTI's benchmark crop, applied to image and truth before anything else: the lowest 352 rows and
/// the middle 1216 columns. Throws Error for a smaller image.
CropBox kb_crop_box(ImageSize size);

/// The pixels of a box, which lies within the map or photo.
FloatMap cropped(const MapView& map, const CropBox& box);
Image8 cropped(const Image8& photo, const CropBox& box);

}  // namespace fathom
