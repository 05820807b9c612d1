#include "models/postprocess.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"

namespace fathom {

// The neighbours of one output row or column and their weights; bilinear uses the middle two.
struct Taps {
  int64_t index[4];
  double weight[4];
};

static double source_position(int64_t d, int64_t in, int64_t out, MapResize method) {
  switch (method) {
    case MapResize::bilinear_corners:
      return out == 1 ? 0 : double(in - 1) / double(out - 1) * double(d);
    case MapResize::bilinear:
      return std::max(double(in) / double(out) * (double(d) + 0.5) - 0.5, 0.0);
    case MapResize::bicubic: return double(in) / double(out) * (double(d) + 0.5) - 0.5;
  }
  fail("unknown resize method ", int(method));
}

// Keys' cubic with a = -0.75, for a distance within 1 and for one within 1 to 2.
static double cubic_near(double x) { return (1.25 * x - 2.25) * x * x + 1; }
static double cubic_far(double x) { return ((-0.75 * x + 3.75) * x - 6) * x + 3; }

static std::vector<Taps> resize_taps(int64_t in, int64_t out, MapResize method) {
  std::vector<Taps> taps(static_cast<size_t>(out));
  for (int64_t d = 0; d < out; ++d) {
    const double position = source_position(d, in, out, method), below = std::floor(position);
    const double t = position - below;
    Taps& tap = taps[size_t(d)];
    for (int64_t k = 0; k < 4; ++k)
      tap.index[k] = std::clamp<int64_t>(int64_t(below) - 1 + k, 0, in - 1);
    const bool cubic = method == MapResize::bicubic;
    tap.weight[0] = cubic ? cubic_far(1 + t) : 0;
    tap.weight[1] = cubic ? cubic_near(t) : 1 - t;
    tap.weight[2] = cubic ? cubic_near(1 - t) : t;
    tap.weight[3] = cubic ? cubic_far(2 - t) : 0;
  }
  return taps;
}

// Sums kFirst..kLast of the four taps of `values` at `index`, `stride` apart.
template <bool kCubic>
static double blend(const Taps& tap, const auto& at) {
  const double middle = tap.weight[1] * at(tap.index[1]) + tap.weight[2] * at(tap.index[2]);
  if constexpr (!kCubic) return middle;
  return middle + (tap.weight[0] * at(tap.index[0]) + tap.weight[3] * at(tap.index[3]));
}

template <bool kCubic>
static void resize_rows(const MapView& map, FloatMap& result, const std::vector<Taps>& rows,
                        const std::vector<Taps>& columns) {
  parallel_for(result.height, 16, [&](int64_t begin, int64_t end) {
    std::vector<double> row(static_cast<size_t>(map.width));
    for (int64_t y = begin; y < end; ++y) {
      const float* values = map.values.data();
      for (int64_t x = 0; x < map.width; ++x)
        row[size_t(x)] = blend<kCubic>(
            rows[size_t(y)], [&](int64_t i) { return double(values[i * map.width + x]); });
      float* out = result.values.data() + y * result.width;
      for (int64_t x = 0; x < result.width; ++x)
        out[x] =
            float(blend<kCubic>(columns[size_t(x)], [&](int64_t i) { return row[size_t(i)]; }));
    }
  });
}

FloatMap resize_map(const MapView& map, ImageSize size, MapResize method) {
  check_map("resize_map", map);
  check(size.height > 0 && size.width > 0, "resize_map: cannot resize to ", size.height, " x ",
        size.width);
  FloatMap result{size.height, size.width, std::vector<float>(size_t(size.height * size.width))};
  const std::vector<Taps> rows = resize_taps(map.height, size.height, method);
  const std::vector<Taps> columns = resize_taps(map.width, size.width, method);
  if (method == MapResize::bicubic)
    resize_rows<true>(map, result, rows, columns);
  else
    resize_rows<false>(map, result, rows, columns);
  return result;
}

}  // namespace fathom
