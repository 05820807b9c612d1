#include "models/preprocess.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/parallel.h"

namespace fathom {

static double round_half_even(double x) { return std::nearbyint(x); }  // the default mode

ImageSize input_size(ImageSize photo, int target, SizeRule rule, int multiple) {
  check(photo.height > 0 && photo.width > 0, "input_size: a photo of ", photo.height, " x ",
        photo.width);
  check(multiple > 0 && target >= multiple, "input_size: the target must be at least ", multiple,
        ", but is ", target);
  const double by_height = double(target) / double(photo.height);
  const double by_width = double(target) / double(photo.width);
  double scale = std::max(by_height, by_width);
  if (rule == SizeRule::nearest_to_1)
    scale = std::abs(1 - by_width) < std::abs(1 - by_height) ? by_width : by_height;
  const auto side = [&](int64_t length) {
    const double exact = scale * double(length);
    int64_t result = int64_t(round_half_even(exact / multiple)) * multiple;
    if (rule == SizeRule::lower_bound && result < target)
      result = int64_t(std::ceil(exact / multiple)) * multiple;
    return std::max<int64_t>(result, multiple);
  };
  return {side(photo.height), side(photo.width)};
}

// The four neighbours of one output row or column and their weights.
namespace {
struct CubicTaps {
  int64_t index[4];
  double weight[4];
};
}  // namespace

// OpenCV computes position and weights in float whatever the image's type is; the weights are
// then exact as double.
static std::vector<CubicTaps> cubic_taps(int64_t in, int64_t out) {
  const double scale = 1 / (double(out) / double(in));
  std::vector<CubicTaps> taps(static_cast<size_t>(out));
  for (int64_t d = 0; d < out; ++d) {
    const auto position = float((double(d) + 0.5) * scale - 0.5);
    const float below = std::floor(position);
    const float t = position - below, u = 1 - t;
    constexpr float a = -0.75f;
    float weight[4];
    weight[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    weight[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
    weight[3] = 1 - weight[0] - weight[1] - weight[2];
    CubicTaps& tap = taps[size_t(d)];
    for (int64_t k = 0; k < 4; ++k) {
      tap.index[k] = std::clamp<int64_t>(int64_t(below) - 1 + k, 0, in - 1);
      tap.weight[k] = double(weight[k]);
    }
  }
  return taps;
}

// Down first: whole rows of bytes are combined, which vectorises. One row as double is exact to
// 2^-53, so the order of the axes does not show.
static void blend_rows(const Image8& photo, const CubicTaps& tap, double* __restrict__ row) {
  const int64_t length = int64_t(photo.width) * 3;
  const uint8_t *__restrict__ p0 = photo.pixels.data() + tap.index[0] * length,
                             *__restrict__ p1 = photo.pixels.data() + tap.index[1] * length,
                             *__restrict__ p2 = photo.pixels.data() + tap.index[2] * length,
                             *__restrict__ p3 = photo.pixels.data() + tap.index[3] * length;
  const double w0 = tap.weight[0], w1 = tap.weight[1], w2 = tap.weight[2], w3 = tap.weight[3];
  for (int64_t i = 0; i < length; ++i)
    row[i] = (w0 * p0[i] + w1 * p1[i]) + (w2 * p2[i] + w3 * p3[i]);
}

static void blend_columns(const double* __restrict__ row, const std::vector<CubicTaps>& taps,
                          const Normalization& normalization, float* __restrict__ out) {
  double scale[3], shift[3];
  for (size_t c = 0; c < 3; ++c) {
    scale[c] = 1 / (255 * normalization.deviation[c]);
    shift[c] = normalization.mean[c] / normalization.deviation[c];
  }
  for (const CubicTaps& tap : taps) {
    const double *p0 = row + 3 * tap.index[0], *p1 = row + 3 * tap.index[1],
                 *p2 = row + 3 * tap.index[2], *p3 = row + 3 * tap.index[3];
    for (size_t c = 0; c < 3; ++c) {
      const double value = (tap.weight[0] * p0[c] + tap.weight[1] * p1[c]) +
                           (tap.weight[2] * p2[c] + tap.weight[3] * p3[c]);
      *out++ = float(value * scale[c] - shift[c]);
    }
  }
}

void preprocess(const Image8& photo, ImageSize size, std::span<float> out,
                const Normalization& normalization) {
  check(photo.height > 0 && photo.width > 0 &&
            photo.pixels.size() == size_t(photo.height) * size_t(photo.width) * 3,
        "preprocess: an RGB photo of ", photo.height, " x ", photo.width, " has ",
        photo.pixels.size(), " bytes");
  check(size.height > 0 && size.width > 0 && int64_t(out.size()) == size.height * size.width * 3,
        "preprocess: the output must be [", size.height, ", ", size.width, ", 3], but has ",
        out.size(), " elements");
  const std::vector<CubicTaps> rows = cubic_taps(photo.height, size.height);
  const std::vector<CubicTaps> columns = cubic_taps(photo.width, size.width);
  parallel_for(size.height, 16, [&](int64_t begin, int64_t end) {
    std::vector<double> row(size_t(photo.width) * 3);
    for (int64_t y = begin; y < end; ++y) {
      blend_rows(photo, rows[size_t(y)], row.data());
      blend_columns(row.data(), columns, normalization, out.data() + y * size.width * 3);
    }
  });
}

std::vector<float> preprocess(const Image8& photo, ImageSize size,
                              const Normalization& normalization) {
  std::vector<float> out(size_t(size.height * size.width * 3));
  preprocess(photo, size, out, normalization);
  return out;
}

}  // namespace fathom
