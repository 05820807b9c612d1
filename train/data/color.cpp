#include "train/data/color.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace fathom {

static float limited(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static float grey_of(const float* p) { return 0.2989f * p[0] + 0.587f * p[1] + 0.114f * p[2]; }

void adjust_brightness(std::span<float> rgb, float factor) {
  for (float& value : rgb) value = limited(value * factor);
}

// A row's worth of floats at a time, the partial sums in double: no long sum in float.
static double mean_grey(std::span<const float> rgb) {
  constexpr size_t kRun = 3 * 256;
  double sum = 0;
  for (size_t begin = 0; begin < rgb.size(); begin += kRun) {
    float part = 0;
    for (size_t i = begin; i < std::min(begin + kRun, rgb.size()); i += 3) part += grey_of(&rgb[i]);
    sum += part;
  }
  return sum / double(rgb.size() / 3);
}

void adjust_contrast(std::span<float> rgb, float factor) {
  const float base = (1 - factor) * float(mean_grey(rgb));
  for (float& value : rgb) value = limited(factor * value + base);
}

void adjust_saturation(std::span<float> rgb, float factor) {
  for (size_t i = 0; i < rgb.size(); i += 3) {
    const float base = (1 - factor) * grey_of(&rgb[i]);
    for (size_t c = 0; c < 3; ++c) rgb[i + c] = limited(factor * rgb[i + c] + base);
  }
}

void make_grey(std::span<float> rgb) {
  for (size_t i = 0; i < rgb.size(); i += 3) rgb[i] = rgb[i + 1] = rgb[i + 2] = grey_of(&rgb[i]);
}

// Hue in sixths of the circle: which channel leads, and by how much the others differ.
static float hue_of(float r, float g, float b, float largest, float range) {
  if (range == 0) return 0;
  if (largest == r) return (g - b) / range + (g < b ? 6.0f : 0.0f);
  if (largest == g) return 2 + (b - r) / range;
  return 4 + (r - g) / range;
}

// Channel c of HSV is v - v s max(0, min(k, 4 - k, 1)), k = (n + h) mod 6, n = 5, 3, 1 for R, G, B:
// the same piecewise linear function as torchvision's table of six cases, without its branches.
static float channel_of(float n, float hue, float value, float chroma) {
  float k = n + hue;
  k = k >= 6 ? k - 6 : k;
  return limited(value - chroma * std::max(0.0f, std::min({k, 4 - k, 1.0f})));
}

void adjust_hue(std::span<float> rgb, float shift) {
  const float turn = 6 * (shift - std::floor(shift));
  for (size_t i = 0; i < rgb.size(); i += 3) {
    const float r = rgb[i], g = rgb[i + 1], b = rgb[i + 2];
    const float largest = std::max({r, g, b}), range = largest - std::min({r, g, b});
    float hue = hue_of(r, g, b, largest, range) + turn;
    hue = hue >= 6 ? hue - 6 : hue;
    rgb[i] = channel_of(5, hue, largest, range);
    rgb[i + 1] = channel_of(3, hue, largest, range);
    rgb[i + 2] = channel_of(1, hue, largest, range);
  }
}

void gaussian_blur(std::span<float> rgb, int64_t height, int64_t width, float sigma) {
  const auto radius = int64_t(std::ceil(3 * sigma));
  std::vector<float> weight(size_t(2 * radius + 1));
  double sum = 0;
  for (int64_t k = -radius; k <= radius; ++k)
    sum += weight[size_t(k + radius)] = std::exp(-float(k * k) / (2 * sigma * sigma));
  for (float& w : weight) w = float(double(w) / sum);

  const int64_t row = width * 3;
  std::vector<float> down(rgb.size());
  for (int64_t y = 0; y < height; ++y) {
    float* __restrict__ to = down.data() + y * row;
    for (int64_t k = -radius; k <= radius; ++k) {
      const float* __restrict__ from = rgb.data() + std::clamp<int64_t>(y + k, 0, height - 1) * row;
      const float w = weight[size_t(k + radius)];
      for (int64_t i = 0; i < row; ++i) to[i] += w * from[i];
    }
  }
  // Across: the row with its ends repeated, so that the loop has no border.
  std::vector<float> padded(size_t(row + 6 * radius));
  for (int64_t y = 0; y < height; ++y) {
    const float* from = down.data() + y * row;
    for (int64_t x = -radius; x < width + radius; ++x)
      for (int64_t c = 0; c < 3; ++c)
        padded[size_t((x + radius) * 3 + c)] = from[std::clamp<int64_t>(x, 0, width - 1) * 3 + c];
    float* __restrict__ to = rgb.data() + y * row;
    std::fill(to, to + row, 0.0f);
    for (int64_t k = 0; k <= 2 * radius; ++k) {
      const float* __restrict__ shifted = padded.data() + 3 * k;
      const float w = weight[size_t(k)];
      for (int64_t i = 0; i < row; ++i) to[i] += w * shifted[i];
    }
  }
}

}  // namespace fathom
