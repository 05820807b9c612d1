#include "tests/models/golden.h"

#include <algorithm>
#include <cmath>

namespace fathom {

double golden_deviation(const Tensor& depth, const GoldenOutput& golden) {
  const int64_t H = golden.height, W = golden.width;
  check(depth.shape() == Shape{1, H, W}, "golden_deviation: expected a map of ", H, " x ", W,
        ", got ", depth.shape());
  const Tensor f32 = depth.to(DType::f32).contiguous();
  const float* v = f32.data<float>();
  double sum = 0, low = v[0], high = v[0];
  for (int64_t i = 0; i < H * W; ++i) {
    sum += v[i];
    low = std::min<double>(low, v[i]);
    high = std::max<double>(high, v[i]);
  }
  const auto at = [&](int64_t y, int64_t x) { return double(v[y * W + x]); };
  const double pairs[][2] = {{sum / double(H * W), golden.mean},
                             {low, golden.min},
                             {high, golden.max},
                             {at(0, 0), golden.top_left},
                             {at(0, W - 1), golden.top_right},
                             {at(H - 1, 0), golden.bottom_left},
                             {at(H - 1, W - 1), golden.bottom_right},
                             {at(H / 2, W / 2), golden.centre},
                             {at(13, 14), golden.at_13_14},
                             {at(1, 2), golden.at_1_2}};
  double worst = 0;
  for (const auto& [actual, expected] : pairs) {
    const double deviation = std::fabs(actual - expected);
    if (!(deviation <= worst)) worst = deviation;  // a NaN stays
  }
  return worst;
}

}  // namespace fathom
