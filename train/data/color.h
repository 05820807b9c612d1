#pragma once

#include <cstdint>
#include <span>

namespace fathom {

/// A colour change of RGB pixels in 0..1; the result is limited to it.
/// Source: pytorch/vision, torchvision/transforms/_functional_tensor.py.
struct ColorStep {
  enum class Kind : uint8_t {
    brightness,  // amount * c
    contrast,    // amount * c + (1 - amount) * the mean of the grey picture
    saturation,  // amount * c + (1 - amount) * the pixel's grey
    hue,         // turns the hue of HSV by `amount` of the circle
    grey,        // 0.2989 R + 0.587 G + 0.114 B in all channels
  };
  Kind kind;
  float amount = 0;
};

/// Limits pixels [N, 3] to 0..1, then changes them by one step after another, in place.
void adjust_colors(std::span<float> rgb, std::span<const ColorStep> steps);

/// A Gaussian of `sigma` pixels, cut at 3 sigma, on [height, width, 3]; the border is repeated.
void gaussian_blur(std::span<float> rgb, int64_t height, int64_t width, float sigma);

}  // namespace fathom
