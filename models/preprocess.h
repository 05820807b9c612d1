#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/image.h"

namespace fathom {

/// How a photo's size becomes the network's: both sides multiples of the patch, ratio kept.
enum class SizeRule {
  lower_bound,   // the reference: the shorter side reaches the target, the longer may be huge
  nearest_to_1,  // Hugging Face's processor: the scale, of the two, that changes the photo least
};

/// The network's input size for a photo. Halves round to even, as in NumPy: 74 x 77 -> 518 x 532.
/// With lower_bound no side is below the target; with nearest_to_1 none is below one patch.
/// Source: DepthAnything/Depth-Anything-V2, util/transform.py; transformers,
/// models/dpt/image_processing_dpt.py.
ImageSize input_size(ImageSize photo, int target = 518, SizeRule rule = SizeRule::lower_bound,
                     int multiple = 14);

/// Per-channel (value - mean) / deviation on values in 0..1, RGB.
struct Normalization {
  std::array<double, 3> mean, deviation;
};
inline constexpr Normalization kImageNet{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
inline constexpr Normalization kNoNormalization{{0, 0, 0}, {1, 1, 1}};

/// Resizes a photo to the network's input and normalises it, as the reference does: value / 255,
/// OpenCV's INTER_CUBIC (a = -0.75, half-pixel centres, replicated border, no antialiasing, float32
/// weights, overshoot kept) and then the normalisation, in double, rounded once to float.
///
/// out: [size.height, size.width, 3]. Runs on the thread pool; the bits do not depend on it.
/// Source: OpenCV, modules/imgproc/src/resize.cpp; depth_anything_v2/dpt.py, image2tensor.
void preprocess(const Image8& photo, ImageSize size, std::span<float> out,
                const Normalization& normalization = kImageNet);
std::vector<float> preprocess(const Image8& photo, ImageSize size,
                              const Normalization& normalization = kImageNet);

}  // namespace fathom
