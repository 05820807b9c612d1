#include "train/data/color.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tests/testing.h"

namespace fathom {

static std::vector<float> random_pixels(int64_t count) {
  Generator generator{4};
  const std::vector<double> values = fathom::values(uniform({count * 3}, generator));
  return {values.begin(), values.end()};
}

static void adjust(std::vector<float>& pixels, ColorStep step) {
  adjust_colors(pixels, {&step, 1});
}

TEST_CASE("color: brightness, contrast, saturation and grey follow their formulas") {
  const std::vector<float> pixels = {0.5f, 0.25f, 1, 0, 0.5f, 0.75f};
  const double grey[] = {0.2989 * 0.5 + 0.587 * 0.25 + 0.114, 0.587 * 0.5 + 0.114 * 0.75};
  const double mean = (grey[0] + grey[1]) / 2;
  const auto limited = [](double x) { return std::clamp(x, 0.0, 1.0); };
  for (const float factor : {0.0f, 0.5f, 1.0f, 1.5f}) {
    CAPTURE(factor);
    std::vector<float> bright = pixels, contrast = pixels, saturated = pixels, gray = pixels;
    adjust(bright, {ColorStep::Kind::brightness, factor});
    adjust(contrast, {ColorStep::Kind::contrast, factor});
    adjust(saturated, {ColorStep::Kind::saturation, factor});
    adjust(gray, {ColorStep::Kind::grey});
    for (size_t i = 0; i < 6; ++i) {
      const double p = pixels[i], g = grey[i / 3];
      // A handful of roundings of values below 2.
      CHECK(std::abs(bright[i] - limited(p * factor)) < 5e-7);
      CHECK(std::abs(contrast[i] - limited(factor * p + (1 - factor) * mean)) < 5e-7);
      CHECK(std::abs(saturated[i] - limited(factor * p + (1 - factor) * g)) < 5e-7);
      CHECK(std::abs(gray[i] - g) < 5e-7);
    }
  }
}

// torchvision's way: to HSV, turn, and back by the table of six cases.
static std::array<double, 3> turned(double r, double g, double b, double shift) {
  const double largest = std::max({r, g, b}), smallest = std::min({r, g, b});
  const double range = largest - smallest, s = largest == 0 ? 0 : range / largest;
  const double divisor = range == 0 ? 1 : range;
  const double rc = (largest - r) / divisor, gc = (largest - g) / divisor,
               bc = (largest - b) / divisor;
  double h = largest == r ? bc - gc : largest == g ? 2 + rc - bc : 4 + gc - rc;
  h = std::fmod(h / 6 + 1, 1);
  h = std::fmod(h + shift + 1, 1);
  const int i = int(std::floor(h * 6));
  const double f = h * 6 - i, v = largest;
  const double p = v * (1 - s), q = v * (1 - s * f), t = v * (1 - s * (1 - f));
  const std::array<double, 3> cases[6] = {{v, t, p}, {q, v, p}, {p, v, t},
                                          {p, q, v}, {t, p, v}, {v, p, q}};
  return cases[i % 6];
}

TEST_CASE("color: hue turns as torchvision's does") {
  std::vector<float> pixels = random_pixels(500);
  for (const float value : {0.0f, 1.0f, 0.5f}) pixels.insert(pixels.end(), 3, value);  // greys
  pixels.insert(pixels.end(), {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0.2f, 0.9f, 0.9f});
  for (const float shift : {-0.25f, -0.1f, 0.0f, 0.25f, 0.5f}) {
    std::vector<float> ours = pixels;
    adjust(ours, {ColorStep::Kind::hue, shift});
    double worst = 0;
    for (size_t i = 0; i < pixels.size(); i += 3) {
      const auto expected = turned(pixels[i], pixels[i + 1], pixels[i + 2], shift);
      for (size_t c = 0; c < 3; ++c)
        worst = std::max(worst, std::abs(double(ours[i + c]) - expected[c]));
    }
    // The hue, up to 12, carries some roundings of 6e-7; times a chroma of at most 1.
    CHECK(worst < 5e-6);
  }
}

// More pixels than are handled at a time, and not a multiple; contrast's mean is of all of them.
TEST_CASE("color: steps one by one and together are the same") {
  const ColorStep steps[] = {{ColorStep::Kind::brightness, 1.3f},
                             {ColorStep::Kind::contrast, 0.6f},
                             {ColorStep::Kind::hue, 0.2f},
                             {ColorStep::Kind::contrast, 1.4f},
                             {ColorStep::Kind::saturation, 0.5f}};
  std::vector<float> together = random_pixels(1000), one_by_one = together;
  together[7] = one_by_one[7] = -0.5f;  // limited first
  adjust_colors(together, steps);
  for (const ColorStep& step : steps) adjust(one_by_one, step);
  CHECK(together == one_by_one);
  std::vector<float> grey = random_pixels(1000), contrast = grey;
  double mean = 0;
  for (size_t i = 0; i < grey.size(); i += 3)
    mean += (0.2989 * grey[i] + 0.587 * grey[i + 1] + 0.114 * grey[i + 2]) / 1000;
  adjust(contrast, {ColorStep::Kind::contrast, 0});
  for (const float value : contrast)
    REQUIRE(std::abs(value - mean) < 5e-6);  // sums of 32 values in float: 32 * 2^-24
}

TEST_CASE("color: blur is a separable Gaussian with repeated borders") {
  const int64_t H = 7, W = 13;  // rows of a block of 32 floats and some
  const std::vector<float> pixels = random_pixels(H * W);
  for (const float sigma : {0.1f, 0.8f, 2.0f}) {
    std::vector<float> ours = pixels;
    gaussian_blur(ours, H, W, sigma);
    const int r = int(std::ceil(3 * sigma));
    for (int64_t y = 0; y < H; ++y)
      for (int64_t x = 0; x < W; ++x)
        for (int64_t c = 0; c < 3; ++c) {
          double sum = 0, weights = 0;
          for (int64_t dy = -r; dy <= r; ++dy)
            for (int64_t dx = -r; dx <= r; ++dx) {
              const double w = std::exp(-double(dx * dx + dy * dy) / (2.0 * sigma * sigma));
              const int64_t sy = std::clamp<int64_t>(y + dy, 0, H - 1);
              const int64_t sx = std::clamp<int64_t>(x + dx, 0, W - 1);
              weights += w;
              sum += w * pixels[size_t((sy * W + sx) * 3 + c)];
            }
          // Two passes of 13 sums of values below 1: 26 * 2^-24.
          REQUIRE(std::abs(ours[size_t((y * W + x) * 3 + c)] - sum / weights) < 1.6e-6);
        }
  }
}

}  // namespace fathom
