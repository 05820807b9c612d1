#include "kernels/cuda/swiglu.h"

#include "kernels/swiglu.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

template <class T>
void check_swiglu(const std::vector<T>& x, const std::vector<T>& dy, int64_t rows, int64_t h,
                  int schedules) {
  CAPTURE(dtype_of<T>(), rows, h);
  // logistic is within 9 half ulps, 4 more operations follow, one of them the sum 1 + g (1 - s),
  // whose terms cancel: its error is absolute.
  const double u = rounding<float>(), tiny = dtype_of<T>() == DType::f16 ? 0x1p-25 : 1e-37;
  std::vector<double> y, y_allowed, dx(x.size()), dx_allowed(x.size());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t c = 0; c < h; ++c) {
      const int64_t at = row * 2 * h + c;
      const double g = cast<double>(x[at]), v = cast<double>(x[at + h]),
                   d = cast<double>(dy[row * h + c]), s = 1 / (1 + std::exp(-g));
      y.push_back(g * s * v);
      y_allowed.push_back(std::abs(y.back()) * (11 * u + rounding<T>()) + tiny);
      dx[at] = d * v * s * (1 + g * (1 - s));
      dx_allowed[at] = std::abs(d * v * s) * (1 + std::abs(g)) * 24 * u +
                       std::abs(dx[at]) * rounding<T>() + tiny;
      dx[at + h] = d * g * s;
      dx_allowed[at + h] = std::abs(dx[at + h]) * (11 * u + rounding<T>()) + tiny;
    }
  Tensor cpu_y = empty({rows, h}, {dtype_of<T>()}), cpu_dx = empty({rows, 2 * h}, {dtype_of<T>()});
  const Tensor cpu_x = tensor_of({rows, 2 * h}, x);
  kernels::swiglu_forward(CpuStream{}, cpu_x, cpu_y);
  kernels::swiglu_backward(CpuStream{}, cpu_x, tensor_of({rows, h}, dy), cpu_dx);
  under_schedules(schedules, [&] {
    DeviceArray<T> at(x), d(dy), result(y.size()), gradient(x.size());
    cuda::swiglu_forward<T>(nullptr, at, result, rows, h);
    cuda::swiglu_backward<T>(nullptr, at, d, gradient, rows, h);
    CHECK(within(result.get(), y, y_allowed));
    CHECK(within(result.get(), values(cpu_y), twice(y_allowed)));
    CHECK(within(gradient.get(), dx, dx_allowed));
    CHECK(within(gradient.get(), values(cpu_dx), twice(dx_allowed)));
  });
}

}  // namespace

TEMPLATE_TEST_CASE("cuda swiglu: matches its definition", "", float, bfloat16, float16) {
  const int64_t h = GENERATE(1, 7, 8, 40, 2056);  // the last needs a second block a row
  const int64_t rows = h < 100 ? 5 : 2;
  check_swiglu(normal<TestType>(rows * 2 * h, 1), normal<TestType>(rows * h, 2), rows, h, h < 100);
}

TEST_CASE("cuda swiglu: extremes") {
  const std::vector<float> x{1e4f, -1e4f, 90, -90, NAN, 0, 2, 3, 1, 1, 1, NAN};
  check_swiglu(x, std::vector<float>(6, 1.0f), 1, 6, 0);
}

}  // namespace fathom
