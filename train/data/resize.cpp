#include "train/data/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace fathom {

static void check_window(const CropWindow& window, size_t values) {
  check(window.top >= 0 && window.left >= 0 && window.height > 0 && window.width > 0 &&
            window.top + window.height <= window.full.height &&
            window.left + window.width <= window.full.width &&
            int64_t(values) == window.height * window.width,
        "resize_crop: a window of ", window.height, " x ", window.width, " at (", window.top, ", ",
        window.left, ") of ", window.full.height, " x ", window.full.width, " into ", values,
        " pixels");
}

namespace {
struct CubicTaps {  // in float; models/preprocess.cpp has its own in double
  int64_t index[4];
  float weight[4];
};
}  // namespace

// The taps of outputs first .. first + count - 1 of `out`. Source: OpenCV, resize.cpp, as in
// models/preprocess.cpp.
static std::vector<CubicTaps> cubic_taps(int64_t in, int64_t out, int64_t first, int64_t count) {
  const double scale = 1 / (double(out) / double(in));
  std::vector<CubicTaps> taps(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const auto position = float((double(first + i) + 0.5) * scale - 0.5);
    const float below = std::floor(position), t = position - below, u = 1 - t;
    constexpr float a = -0.75f;
    CubicTaps& tap = taps[size_t(i)];
    tap.weight[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    tap.weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    tap.weight[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
    tap.weight[3] = 1 - tap.weight[0] - tap.weight[1] - tap.weight[2];
    for (int64_t k = 0; k < 4; ++k)
      tap.index[k] = std::clamp<int64_t>(int64_t(below) - 1 + k, 0, in - 1);
  }
  return taps;
}

// Whole rows of bytes, so that it vectorises.
static void blend_rows(const Image8& photo, const CubicTaps& tap, int64_t begin, int64_t end,
                       float* __restrict__ row) {
  const int64_t length = int64_t(photo.width) * 3;
  const uint8_t *__restrict__ p0 = photo.pixels.data() + tap.index[0] * length,
                             *__restrict__ p1 = photo.pixels.data() + tap.index[1] * length,
                             *__restrict__ p2 = photo.pixels.data() + tap.index[2] * length,
                             *__restrict__ p3 = photo.pixels.data() + tap.index[3] * length;
  const float w0 = tap.weight[0], w1 = tap.weight[1], w2 = tap.weight[2], w3 = tap.weight[3];
  for (int64_t i = begin; i < end; ++i)
    row[i] = (w0 * float(p0[i]) + w1 * float(p1[i])) + (w2 * float(p2[i]) + w3 * float(p3[i]));
}

static void blend_columns(const float* __restrict__ row, const std::vector<CubicTaps>& taps,
                          float* __restrict__ out) {
  for (const CubicTaps& tap : taps) {
    const float *p0 = row + 3 * tap.index[0], *p1 = row + 3 * tap.index[1],
                *p2 = row + 3 * tap.index[2], *p3 = row + 3 * tap.index[3];
    for (int64_t c = 0; c < 3; ++c)
      *out++ = ((tap.weight[0] * p0[c] + tap.weight[1] * p1[c]) +
                (tap.weight[2] * p2[c] + tap.weight[3] * p3[c])) *
               (1 / 255.0f);
  }
}

void resize_crop(const Image8& photo, const CropWindow& window, std::span<float> out) {
  check_window(window, out.size() / 3);
  const std::vector<CubicTaps> rows =
      cubic_taps(photo.height, window.full.height, window.top, window.height);
  std::vector<CubicTaps> columns =
      cubic_taps(photo.width, window.full.width, window.left, window.width);
  const int64_t begin = columns.front().index[0] * 3, end = columns.back().index[3] * 3 + 3;
  if (window.flip) std::ranges::reverse(columns);
  std::vector<float> row(size_t(photo.width) * 3);
  for (int64_t y = 0; y < window.height; ++y) {
    blend_rows(photo, rows[size_t(y)], begin, end, row.data());
    blend_columns(row.data(), columns, out.data() + y * window.width * 3);
  }
}

static std::vector<int64_t> nearest(int64_t in, int64_t out, int64_t first, int64_t count) {
  const double scale = 1 / (double(out) / double(in));
  std::vector<int64_t> index(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    index[size_t(i)] = std::min(int64_t(std::floor(double(first + i) * scale)), in - 1);
  return index;
}

void resize_crop(const DepthMap& map, const CropWindow& window, std::span<float> values,
                 std::span<bool> mask) {
  check_window(window, values.size());
  check_window(window, mask.size());
  const std::vector<int64_t> rows =
      nearest(map.height, window.full.height, window.top, window.height);
  std::vector<int64_t> columns = nearest(map.width, window.full.width, window.left, window.width);
  if (window.flip) std::ranges::reverse(columns);
  size_t to = 0;
  for (const int64_t y : rows) {
    for (const int64_t x : columns) {
      const size_t from = size_t(y * map.width + x);
      values[to] = map.values[from];
      mask[to++] = map.mask[from] != 0;
    }
  }
}

}  // namespace fathom
