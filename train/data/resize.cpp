#include "train/data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/clones.h"
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
  int64_t first;    // of four neighbours in a row, which may lie outside of the picture
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
    tap.first = int64_t(below) - 1;
    tap.weight[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    tap.weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    tap.weight[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
    tap.weight[3] = 1 - tap.weight[0] - tap.weight[1] - tap.weight[2];
  }
  return taps;
}

// Pixels of three floats are read and written four at a time, so rows have one float to spare.
typedef float Pixel __attribute__((vector_size(16)));

static inline Pixel load(const float* from) {
  Pixel pixel;
  std::memcpy(&pixel, from, sizeof pixel);
  return pixel;
}

FATHOM_CLONES static void widen(const uint8_t* from, size_t count, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] = float(from[i]);
}

// tap.first: of the float in `from`.
FATHOM_CLONES static void blend_columns(const float* from, std::span<const CubicTaps> columns,
                                        Pixel scale, Pixel shift, float* to) {
  for (const CubicTaps& tap : columns) {
    const float* const p = from + tap.first;
    const Pixel sum = (tap.weight[0] * load(p) + tap.weight[1] * load(p + 3)) +
                      (tap.weight[2] * load(p + 6) + tap.weight[3] * load(p + 9));
    const Pixel value = sum * scale - shift;
    std::memcpy(to, &value, sizeof value);
    to += 3;
  }
}

FATHOM_CLONES static void blend_rows(const float* weight, const float* p0, const float* p1,
                                     const float* p2, const float* p3, int64_t count,
                                     float* __restrict__ to) {
  const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
  for (int64_t i = 0; i < count; ++i) to[i] = (w0 * p0[i] + w1 * p1[i]) + (w2 * p2[i] + w3 * p3[i]);
}

namespace {
// Rows of the photo as floats, resized across and normalised. Down, an output row needs four
// neighbours, which the next output row mostly shares: the last four rows are kept.
class ResizedRows {
 public:
  ResizedRows(const Image8& photo, const CropWindow& window, const Normalization& normalization)
      : photo_(photo),
        columns_(cubic_taps(photo.width, window.full.width, window.left, window.width)),
        begin_(columns_.front().first),
        end_(columns_.back().first + 4),
        source_(size_t(end_ - begin_) * 3 + 1) {
    if (window.flip) std::ranges::reverse(columns_);
    for (CubicTaps& tap : columns_) tap.first = (tap.first - begin_) * 3;
    for (std::vector<float>& row : rows_) row.resize(columns_.size() * 3 + 1);
    for (size_t c = 0; c < 3; ++c) {
      scale_[c] = float(1 / (255 * normalization.deviation[c]));
      shift_[c] = float(normalization.mean[c] / normalization.deviation[c]);
    }
  }

  const float* at(int64_t y) {
    y = std::clamp<int64_t>(y, 0, photo_.height - 1);
    const auto slot = size_t(y % 4);
    if (held_[slot] != y) make(y, rows_[slot].data());
    held_[slot] = y;
    return rows_[slot].data();
  }

 private:
  void make(int64_t y, float* to) {
    const int64_t width = photo_.width, first = std::clamp<int64_t>(begin_, 0, width - 1),
                  last = std::clamp<int64_t>(end_ - 1, 0, width - 1);
    const uint8_t* const row = photo_.pixels.data() + y * width * 3;
    float* const from = source_.data();
    widen(row + first * 3, size_t(last + 1 - first) * 3, from + (first - begin_) * 3);
    for (int64_t x = begin_; x < first; ++x) widen(row, 3, from + (x - begin_) * 3);
    for (int64_t x = last + 1; x < end_; ++x)
      widen(row + (width - 1) * 3, 3, from + (x - begin_) * 3);
    blend_columns(from, columns_, scale_, shift_, to);
  }

  const Image8& photo_;
  std::vector<CubicTaps> columns_;  // first: of the float in source_
  int64_t begin_, end_;             // of the pixels of a row that any column needs
  Pixel scale_{}, shift_{};
  std::vector<float> source_, rows_[4];  // source_: beyond the border its pixel is repeated
  int64_t held_[4] = {-1, -1, -1, -1};
};
}  // namespace

void resize_crop(const Image8& photo, const CropWindow& window, std::span<float> out,
                 const Normalization& normalization) {
  check_window(window, out.size() / 3);
  ResizedRows rows(photo, window, normalization);
  float* to = out.data();
  for (const CubicTaps& tap :
       cubic_taps(photo.height, window.full.height, window.top, window.height)) {
    blend_rows(tap.weight, rows.at(tap.first), rows.at(tap.first + 1), rows.at(tap.first + 2),
               rows.at(tap.first + 3), window.width * 3, to);
    to += window.width * 3;
  }
}

static std::vector<int32_t> nearest(int64_t in, int64_t out, int64_t first, int64_t count) {
  const double scale = 1 / (double(out) / double(in));
  std::vector<int32_t> index(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    index[size_t(i)] = int32_t(std::min(int64_t(std::floor(double(first + i) * scale)), in - 1));
  return index;
}

void resize_crop(const DepthMap& map, const CropWindow& window, std::span<float> values,
                 std::span<bool> mask) {
  check_window(window, values.size());
  check_window(window, mask.size());
  const std::vector<int32_t> rows =
      nearest(map.height, window.full.height, window.top, window.height);
  std::vector<int32_t> columns = nearest(map.width, window.full.width, window.left, window.width);
  if (window.flip) std::ranges::reverse(columns);
  float* value = values.data();
  bool* valid = mask.data();
  for (const int64_t y : rows) {
    const float* const from = map.values.data() + y * map.width;
    const uint8_t* const kept = map.mask.data() + y * map.width;
    for (const int32_t x : columns) *value++ = from[x];
    for (const int32_t x : columns) *valid++ = kept[x] != 0;
  }
}

}  // namespace fathom
