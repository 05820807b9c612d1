#include "models/postprocess.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

static FloatMap ramp(int64_t length) {
  FloatMap map{1, length, {}};
  for (int64_t i = 0; i < length; ++i) map.values.push_back(float(i));
  return map;
}

static FloatMap transposed(const FloatMap& map) {
  FloatMap result{map.width, map.height, {}};
  for (int64_t x = 0; x < map.width; ++x)
    for (int64_t y = 0; y < map.height; ++y)
      result.values.push_back(map.values[size_t(y * map.width + x)]);
  return result;
}

TEST_CASE("postprocess: bilinear gives the values of PyTorch") {
  const std::vector<double> corners = {0, .5, 1, 1.5, 2, 2.5, 3};
  const std::vector<double> centres = {0, .35714, .92857, 1.5, 2.07143, 2.64286, 3};
  const FloatMap a = resize_map(ramp(4), {1, 7}, MapResize::bilinear_corners);
  const FloatMap b = resize_map(ramp(4), {1, 7}, MapResize::bilinear);
  const FloatMap down = resize_map(transposed(ramp(4)), {7, 1}, MapResize::bilinear);
  for (size_t i = 0; i < 7; ++i) {
    CHECK(std::abs(a.values[i] - corners[i]) < 1e-6);
    CHECK(std::abs(b.values[i] - centres[i]) < 6e-6);  // the list has 5 decimals
    CHECK(down.values[i] == b.values[i]);
  }
  const FloatMap half = resize_map(ramp(19), {1, 37}, MapResize::bilinear_corners);
  for (size_t i = 0; i < 37; ++i) CHECK(half.values[i] == float(i) / 2);
  CHECK(resize_map(ramp(4), {1, 1}, MapResize::bilinear_corners).values[0] == 0);
}

TEST_CASE("postprocess: bicubic gives the values of OpenCV and PyTorch") {
  const FloatMap map{1, 8, {0, 10, 20, 80, 30, 5, 7, 100}};
  const std::vector<double> expected = {2.317495, 15.602486, 62.96875, 3.01749, 74.147457};
  const FloatMap resized = resize_map(map, {1, 5}, MapResize::bicubic);
  // The expected values have float weights: four of them, each off by up to 2^-24 of values to 100
  // from a position near 8 with an error of 2^-22 and slopes of about 150 a pixel.
  for (size_t i = 0; i < 5; ++i) CHECK(std::abs(resized.values[i] - expected[i]) < 1e-4);
}

TEST_CASE("postprocess: the same size changes nothing, a constant stays one") {
  const MapResize method =
      GENERATE(MapResize::bilinear, MapResize::bilinear_corners, MapResize::bicubic);
  FloatMap map{31, 17, {}};
  for (int i = 0; i < 31 * 17; ++i) map.values.push_back(float(std::sin(i * i)));
  CHECK(resize_map(map, {31, 17}, method).values == map.values);
  const FloatMap flat = resize_map(FloatMap{3, 2, std::vector<float>(6, 0.7f)}, {53, 1}, method);
  CHECK(flat.height == 53);
  CHECK(flat.width == 1);
  // Weights in double sum to 1 within 2^-50, so at most the last bit moves.
  for (const float value : flat.values) CHECK(std::abs(value - 0.7f) <= 0x1p-24);
}

TEST_CASE("postprocess: both axes follow the definition") {
  FloatMap map{5, 7, {}};
  for (int i = 0; i < 35; ++i) map.values.push_back(float(std::cos(3 * i)));
  const FloatMap resized = resize_map(map, {13, 3}, MapResize::bilinear);
  for (int y = 0; y < 13; ++y)
    for (int x = 0; x < 3; ++x) {
      const double v = std::max(5 / 13.0 * (y + 0.5) - 0.5, 0.0);
      const double u = std::max(7 / 3.0 * (x + 0.5) - 0.5, 0.0);
      const int top = int(v), left = int(u), bottom = std::min(top + 1, 4),
                right = std::min(left + 1, 6);
      const auto at = [&](int row, int column) { return map.values[size_t(row * 7 + column)]; };
      const double expected =
          (1 - (v - top)) * ((1 - (u - left)) * at(top, left) + (u - left) * at(top, right)) +
          (v - top) * ((1 - (u - left)) * at(bottom, left) + (u - left) * at(bottom, right));
      CHECK(std::abs(resized.values[size_t(y * 3 + x)] - expected) <= 0x1p-24);  // one rounding
    }
}

TEST_CASE("postprocess: says what is wrong") {
  CHECK_THROWS_WITH(resize_map(ramp(4), {0, 7}, MapResize::bilinear),
                    Catch::Contains("cannot resize to 0 x 7"));
  CHECK_THROWS_WITH(resize_map(FloatMap{2, 2, {1}}, {1, 7}, MapResize::bilinear),
                    Catch::Contains("2 x 2 needs as many values, but has 1"));
}

}  // namespace fathom
