#include "kernels/cuda/gelu.h"

#include "kernels/gelu.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

double distribution(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

double slope(double x) {
  return distribution(x) + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
}

template <class T>
void check_gelu(const std::vector<T>& x, const std::vector<T>& dy, int schedules) {
  CAPTURE(dtype_of<T>(), x.size());
  const int64_t N = int64_t(x.size());
  // As on the CPU: the tail is below 4e-8 absolute and |x| * 2 ulp relative; the derivative's
  // density has an exponent of at most 8 where it counts, 8 half ulps, and 2 more roundings.
  const double e = epsilon(DType::f32), tiny = dtype_of<T>() == DType::f16 ? 0x1p-25 : 1e-40;
  std::vector<double> y, dx, y_allowed, dx_allowed;
  for (int64_t i = 0; i < N; ++i) {
    const double v = cast<double>(x[i]), d = cast<double>(dy[i]);
    y.push_back(v * distribution(v));
    y_allowed.push_back(e + std::abs(y[i]) * (2 * e + rounding<T>()) + tiny);
    dx.push_back(d * slope(v));
    dx_allowed.push_back(std::abs(d) * 4 * e + std::abs(dx[i]) * (e + rounding<T>()) + tiny);
  }
  Tensor cpu_y = empty({N}, {dtype_of<T>()}), cpu_dx = empty({N}, {dtype_of<T>()});
  kernels::gelu_forward(CpuStream{}, tensor_of({N}, x), cpu_y);
  kernels::gelu_backward(CpuStream{}, tensor_of({N}, x), tensor_of({N}, dy), cpu_dx);
  under_schedules(schedules, [&] {
    DeviceArray<T> at(x), d(dy), result(x.size()), gradient(x.size());
    cuda::gelu_forward<T>(nullptr, at, result, N);
    cuda::gelu_backward<T>(nullptr, at, d, gradient, N);
    CHECK(within(result.get(), y, y_allowed));
    CHECK(within(result.get(), values(cpu_y), twice(y_allowed)));
    CHECK(within(gradient.get(), dx, dx_allowed));
    CHECK(within(gradient.get(), values(cpu_dx), twice(dx_allowed)));
  });
}

}  // namespace

TEMPLATE_TEST_CASE("cuda gelu: matches its definition", "", float, bfloat16, float16) {
  std::vector<TestType> grid;
  for (int i = -1200; i <= 1200; ++i) grid.push_back(cast<TestType>(float(i) / 100));
  check_gelu(grid, normal<TestType>(grid.size(), 1), 0);
  for (const size_t N : {1, 7, 17}) check_gelu(normal<TestType>(N, 2), normal<TestType>(N, 3), 1);
}

TEST_CASE("cuda gelu: extremes") {
  const std::vector<float> x{1e4f, -1e4f, 0.0f, -0.0f, INFINITY, NAN, 1e-40f, 3e38f, -3e38f};
  under_schedules(0, [&] {
    DeviceArray<float> at(x), ones(std::vector<float>(x.size(), 1.0f)), y(x.size()), dx(x.size());
    cuda::gelu_forward<float>(nullptr, at, y, int64_t(x.size()));
    cuda::gelu_backward<float>(nullptr, at, ones, dx, int64_t(x.size()));
    const std::vector<double> exact(x.size(), 1e-40);
    CHECK(within(y.get(), {1e4, 0, 0, 0, INFINITY, NAN, 0.5e-40, double(3e38f), 0}, exact));
    const std::vector<float> slopes = dx.get();
    CHECK(within(std::vector<float>(slopes.begin(), slopes.begin() + 4), {1, 0, 0.5, 0.5},
                 std::vector<double>(4, 0.0)));
    CHECK(std::isnan(slopes[5]));
  });
}

}  // namespace fathom
