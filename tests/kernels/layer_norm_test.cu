#include "kernels/cuda/layer_norm.h"

#include "kernels/layer_norm.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

struct Reference {
  std::vector<double> y, mean, rstd;
  std::vector<double> y_allowed, mean_allowed, rstd_allowed;
};

// The definition in double, and bounds on the error of computing it in float.
template <class T, class P>
Reference reference(const std::vector<T>& x, const std::vector<P>& weight,
                    const std::vector<P>& bias, double eps, int64_t rows, int64_t C) {
  const double e = epsilon(DType::f32), roundings = double(C) / 32 + 8;  // of a sum by a warp
  Reference r;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<double> v = widened(std::vector<T>(x.begin() + row * C, x.begin() + (row + 1) * C));
    double mean = 0, magnitude = 0, variance = 0;
    for (double a : v) mean += a / double(C), magnitude += std::abs(a) / double(C);
    for (double a : v) variance += (a - mean) * (a - mean) / double(C);
    const double rstd = 1 / std::sqrt(variance + eps);
    const double mean_error = roundings * e * magnitude;
    // The computed variance is about the computed mean: larger by the square of its error.
    const double scale_error =
        roundings * e + 0.5 * mean_error * (mean_error + 2 * e * magnitude) * rstd * rstd;
    r.mean.push_back(mean), r.mean_allowed.push_back(mean_error);
    r.rstd.push_back(rstd), r.rstd_allowed.push_back(rstd * scale_error);
    for (int64_t c = 0; c < C; ++c) {
      const double w = cast<double>(weight[c]), b = cast<double>(bias[c]);
      const double scaled = (v[c] - mean) * rstd * w, y = scaled + b;
      r.y.push_back(y);
      r.y_allowed.push_back(mean_error * rstd * std::abs(w) * (1 + scale_error) +
                            std::abs(scaled) * (scale_error + 4 * e) + std::abs(b) * e +
                            std::abs(y) * (rounding<T>() + e) + 1e-30);
    }
  }
  return r;
}

template <class T, class P>
void check_layer_norm(const std::vector<T>& x, int64_t rows, int64_t C, int schedules) {
  const auto weight = normal<P>(C, 2), bias = normal<P>(C, 3);
  const float eps = 1e-6f;
  const Reference expected = reference(x, weight, bias, eps, rows, C);
  std::vector<double> cpu = expected.y;
  if constexpr (std::is_same_v<T, P>)
    cpu = values(layer_norm(tensor_of({rows, C}, x), tensor_of({C}, weight), tensor_of({C}, bias),
                            double(eps)));
  under_schedules(schedules, [&] {
    DeviceArray<T> dx(x), dy(x.size());
    DeviceArray<P> dw(weight), db(bias);
    DeviceArray<float> mean(rows), rstd(rows);
    cuda::layer_norm_forward<T, P>(nullptr, dx, dw, db, eps, dy, mean, rstd, rows, C);
    CHECK(within(dy.get(), expected.y, expected.y_allowed));
    CHECK(within(dy.get(), cpu, twice(expected.y_allowed)));
    CHECK(within(mean.get(), expected.mean, expected.mean_allowed));
    CHECK(within(rstd.get(), expected.rstd, expected.rstd_allowed));
  });
}

}  // namespace

TEST_CASE("cuda layer_norm: matches its definition") {
  // One element, odd, one off a warp, ragged vectors, the three encoders, past the registers.
  const int64_t C = GENERATE(1, 7, 31, 33, 8, 392, 384, 768, 1024, 1536, 1544);
  const int64_t rows = GENERATE(1, 5);  // a block has 4
  CAPTURE(C, rows);
  check_layer_norm<float, float>(normal<float>(rows * C, 1), rows, C, 1);
  check_layer_norm<bfloat16, bfloat16>(normal<bfloat16>(rows * C, 1), rows, C, 0);
  check_layer_norm<bfloat16, float>(normal<bfloat16>(rows * C, 1), rows, C, 0);
  check_layer_norm<float16, float16>(normal<float16>(rows * C, 1), rows, C, 0);
  check_layer_norm<float16, float>(normal<float16>(rows * C, 1), rows, C, 0);
}

TEST_CASE("cuda layer_norm: centres before it squares") {
  for (const int64_t C : {33, 384}) {
    std::vector<float> x = normal<float>(3 * C, 1);
    for (int64_t c = 0; c < C; ++c) {
      x[c] += 1e4f;           // a large mean
      x[C + c] = 0.1f;        // no variance
      x[2 * C + c] *= 1e15f;  // squares near the end of the range
    }
    check_layer_norm<float, float>(x, 3, C, 1);
  }
}

TEST_CASE("cuda layer_norm: a NaN stays in its row") {
  const int64_t C = 384;
  std::vector<float> x = normal<float>(3 * C, 1);
  x[C + 5] = NAN;
  under_schedules(0, [&] {
    DeviceArray<float> dx(x), ones(std::vector<float>(C, 1.0f)), y(x.size());
    cuda::layer_norm_forward<float, float>(nullptr, dx, ones, ones, 1e-6f, y, nullptr, nullptr, 3,
                                           C);
    const auto result = y.get();
    for (int64_t i = 0; i < 3 * C; ++i) REQUIRE(std::isnan(result[i]) == (i / C == 1));
  });
}

TEST_CASE("cuda layer_norm: takes rows that are not aligned to 16 bytes") {
  const int64_t C = 384;
  const std::vector<float> x = normal<float>(C + 1, 1), weight(C, 2.0f), bias(C, -1.0f);
  const Reference expected =
      reference(std::vector<float>(x.begin() + 1, x.end()), weight, bias, 1e-6, 1, C);
  under_schedules(0, [&] {
    DeviceArray<float> dx(x), dw(weight), db(bias), y(C);
    cuda::layer_norm_forward<float, float>(nullptr, dx + 1, dw, db, 1e-6f, y, nullptr, nullptr, 1,
                                           C);
    CHECK(within(y.get(), expected.y, expected.y_allowed));
  });
}

}  // namespace fathom
