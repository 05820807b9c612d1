#pragma once

#include <cstdint>
#include <span>

namespace fathom {

// Colour operations on RGB pixels [N, 3] in place. Values are meant to be in 0..1 and are limited
// to it, as torchvision's functions on float tensors do.
// Source: pytorch/vision, torchvision/transforms/_functional_tensor.py.

/// c * factor.
void adjust_brightness(std::span<float> rgb, float factor);
/// factor * c + (1 - factor) * the mean of the grey picture.
void adjust_contrast(std::span<float> rgb, float factor);
/// factor * c + (1 - factor) * the pixel's grey.
void adjust_saturation(std::span<float> rgb, float factor);
/// Turns the hue of HSV by a part of the circle.
void adjust_hue(std::span<float> rgb, float shift);
/// Grey, 0.2989 R + 0.587 G + 0.114 B, in all channels.
void make_grey(std::span<float> rgb);

/// A Gaussian of `sigma` pixels, cut at 3 sigma, on [height, width, 3]; the border is repeated.
void gaussian_blur(std::span<float> rgb, int64_t height, int64_t width, float sigma);

}  // namespace fathom
