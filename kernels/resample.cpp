#include "kernels/resample.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "kernels/cpu/resample_kernels.h"
#include "kernels/cpu/stored.h"

namespace fathom {

static void add_tap(AxisTaps& taps, int64_t index, double weight) {
  taps.index.push_back(int32_t(std::clamp<int64_t>(index, 0, taps.inputs - 1)));
  taps.weight.push_back(weight);
}

static void end_output(AxisTaps& taps) { taps.begin.push_back(int32_t(taps.index.size())); }

template <class Real>
AxisTaps linear_taps(int64_t inputs, int64_t outputs, bool align_corners) {
  AxisTaps taps{.inputs = inputs};
  Real step = 0;
  if (!align_corners)
    step = Real(inputs) / Real(outputs);
  else if (outputs > 1)
    step = Real(inputs - 1) / Real(outputs - 1);
  for (int64_t i = 0; i < outputs; ++i) {
    const Real source = align_corners ? step * Real(i)
                                      : std::max(step * (Real(i) + Real(0.5)) - Real(0.5), Real(0));
    const int64_t first = std::min(int64_t(std::floor(source)), inputs - 1);
    const Real t = std::clamp(source - Real(first), Real(0), Real(1));
    add_tap(taps, first, Real(1) - t);
    if (t > 0) add_tap(taps, first + 1, t);  // an exact hit is a copy, even beside an infinity
    end_output(taps);
  }
  return taps;
}
template AxisTaps linear_taps<float>(int64_t, int64_t, bool);
template AxisTaps linear_taps<double>(int64_t, int64_t, bool);

// The cubic convolution kernel at distance d from a tap. Source: Keys (1981), equation 15, with the
// second derivative's parameter a free.
static float cubic(float d, float a) {
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

AxisTaps cubic_taps(int64_t inputs, int64_t outputs, float step) {
  constexpr float a = -0.75f;
  AxisTaps taps{.inputs = inputs};
  for (int64_t i = 0; i < outputs; ++i) {
    const float source = step * (float(i) + 0.5f) - 0.5f;  // may be negative: only taps are clamped
    const int64_t first = std::min(int64_t(std::floor(source)), inputs - 1);
    const float t = std::clamp(source - float(first), 0.0f, 1.0f);
    add_tap(taps, first - 1, cubic(t + 1, a));
    add_tap(taps, first, cubic(t, a));
    add_tap(taps, first + 1, cubic(1 - t, a));
    add_tap(taps, first + 2, cubic(1 - t + 1, a));
    end_output(taps);
  }
  return taps;
}

AxisTaps antialiased_cubic_taps(int64_t inputs, int64_t outputs) {
  constexpr float a = -0.5f;
  AxisTaps taps{.inputs = inputs};
  const float step = float(inputs) / float(outputs);
  const float support = 2 * std::max(step, 1.0f), inverse = step >= 1 ? 1 / step : 1;
  for (int64_t i = 0; i < outputs; ++i) {
    const float centre = step * (float(i) + 0.5f);
    const int64_t begin = std::max<int64_t>(int64_t(centre - support + 0.5f), 0);
    const int64_t end = std::min(int64_t(centre + support + 0.5f), inputs);
    std::vector<float> weights;
    float total = 0;
    for (int64_t j = begin; j < end; ++j) {
      weights.push_back(cubic(std::fabs((float(j) - centre + 0.5f) * inverse), a));
      total += weights.back();
    }
    for (int64_t j = begin; j < end; ++j) add_tap(taps, j, weights[size_t(j - begin)] / total);
    end_output(taps);
  }
  return taps;
}

AxisTaps transposed(const AxisTaps& taps) {
  AxisTaps result{.inputs = taps.outputs()};
  std::vector<int32_t> next(size_t(taps.inputs) + 1);
  for (const int32_t input : taps.index) ++next[size_t(input) + 1];
  for (size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
  result.begin = next;
  result.index.resize(taps.index.size());
  result.weight.resize(taps.weight.size());
  for (int64_t i = 0; i < taps.outputs(); ++i) {
    for (int32_t k = taps.begin[i]; k < taps.begin[i + 1]; ++k) {
      const int32_t slot = next[size_t(taps.index[k])]++;
      result.index[slot] = int32_t(i);
      result.weight[slot] = taps.weight[k];
    }
  }
  return result;
}

// Down first, then across: the intermediate row stays in the cache.
void kernels::resample(CpuStream, const Tensor& x, const AxisTaps& rows, const AxisTaps& columns,
                       Tensor& y) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const int64_t height = rows.outputs(), width = columns.outputs();
  check(rows.inputs == H && columns.inputs == W && y.shape() == Shape{B, height, width, C},
        "resample: taps of [", rows.inputs, ", ", columns.inputs, "] -> [", height, ", ", width,
        "] do not fit ", x.shape(), " -> ", y.shape());
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    using Sum = acc_t<T>;
    const auto& loops = cpu::loops<T>(cpu::resample());
    const std::vector<Sum> row_weight(rows.weight.begin(), rows.weight.end());
    const std::vector<Sum> column_weight(columns.weight.begin(), columns.weight.end());
    const auto* px = cpu::stored(x.data<T>());
    auto* py = cpu::stored(y.data<T>());
    const int64_t grain = std::max<int64_t>(1, (1 << 14) / (std::max(W, width) * C));
    parallel_for(B * height, grain, [&](int64_t begin, int64_t end) {
      std::vector<Sum> row(size_t(W * C));
      for (int64_t n = begin; n < end; ++n) {
        const int64_t b = n / height, h = n % height;
        const int32_t first = rows.begin[h], taps = rows.begin[h + 1] - first;
        loops.blend_rows(px + b * H * W * C, W * C, rows.index.data() + first,
                         row_weight.data() + first, taps, row.data(), W * C);
        loops.blend_pixels(row.data(), columns.begin.data(), columns.index.data(),
                           column_weight.data(), width, C, py + n * width * C);
      }
    });
  });
}

}  // namespace fathom
