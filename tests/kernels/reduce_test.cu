#include "kernels/cuda/reduce.h"

#include <algorithm>

#include "kernels/reduce.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

const double u = rounding<float>();

template <class T>
void check_sum(const std::vector<T>& x, double scale, int64_t skip, int schedules) {
  const int64_t N = int64_t(x.size());
  CAPTURE(dtype_of<T>(), N, skip);
  double total = 0, magnitude = 0;
  for (const T& v : x) total += cast<double>(v), magnitude += std::abs(cast<double>(v));
  // In float: 32 elements a thread, then 5 + 8 additions of a block.
  const std::vector<double> expected{scale * total},
      allowed{std::abs(scale) * magnitude * 46 * u + std::abs(scale * total) * (rounding<T>() + u) +
              1e-30};
  Tensor cpu = empty({}, {dtype_of<T>()});
  kernels::sum(CpuStream{}, tensor_of({N}, x), scale, cpu);  // 2^13 / 16 additions at most
  const std::vector<double> cpu_allowed{allowed[0] + 12 * allowed[0]};
  std::vector<T> shifted(skip);
  shifted.insert(shifted.end(), x.begin(), x.end());
  std::vector<T> first;
  under_schedules(schedules, [&] {
    DeviceArray<T> dx(shifted), y(1);
    DeviceArray<double> workspace(size_t(cuda::sum_workspace(N)));
    cuda::sum<T>(nullptr, dx + skip, scale, y, workspace, N);
    CHECK(within(y.get(), expected, allowed));
    CHECK(within(y.get(), values(cpu), cpu_allowed));
    if (first.empty()) first = y.get();
    CHECK(within(y.get(), widened(first), {0.0}));  // the bits do not depend on the schedule
  });
}

template <class T>
void check_columns(int64_t rows, int64_t C, int64_t skip, int schedules) {
  CAPTURE(dtype_of<T>(), rows, C, skip);
  const auto x = normal<T>(rows * C, 1), y = normal<T>(rows * C, 2);
  std::vector<double> sums(C), dots(C), sums_allowed(C), dots_allowed(C);
  for (int64_t i = 0; i < rows * C; ++i) {
    const double a = cast<double>(x[i]), b = cast<double>(y[i]);
    sums[i % C] += a, sums_allowed[i % C] += std::abs(a);
    dots[i % C] += a * b, dots_allowed[i % C] += std::abs(a * b);
  }
  // A slice of at most 128 rows is added up in float, in some order.
  const double additions = double(std::min<int64_t>(rows, 128));
  for (int64_t c = 0; c < C; ++c) {
    sums_allowed[c] =
        sums_allowed[c] * additions * u + std::abs(sums[c]) * (rounding<T>() + u) + 1e-30;
    dots_allowed[c] =
        dots_allowed[c] * (additions + 1) * u + std::abs(dots[c]) * (rounding<T>() + u) + 1e-30;
  }
  Tensor cpu_sums = empty({C}, {dtype_of<T>()}), cpu_dots = empty({C}, {dtype_of<T>()});
  kernels::column_sum(CpuStream{}, tensor_of({rows, C}, x), cpu_sums);
  kernels::column_dot(CpuStream{}, tensor_of({rows, C}, x), tensor_of({rows, C}, y), cpu_dots);
  std::vector<T> shifted(skip);
  shifted.insert(shifted.end(), x.begin(), x.end());
  std::vector<T> first;
  under_schedules(schedules, [&] {
    DeviceArray<T> dx(shifted), dy(y), sum(C), dot(C);
    DeviceArray<float> workspace(size_t(cuda::column_workspace(rows, C)));
    cuda::column_sum<T, T>(nullptr, dx + skip, sum, workspace, rows, C);
    CHECK(within(sum.get(), sums, sums_allowed));
    CHECK(within(sum.get(), values(cpu_sums), twice(sums_allowed)));
    cuda::column_dot<T>(nullptr, dx + skip, dy, dot, workspace, rows, C);
    CHECK(within(dot.get(), dots, dots_allowed));
    CHECK(within(dot.get(), values(cpu_dots), twice(dots_allowed)));
    if (first.empty()) first = dot.get();
    CHECK(widened(dot.get()) == widened(first));
  });
}

}  // namespace

TEMPLATE_TEST_CASE("cuda sum: matches its definition", "", float, bfloat16, float16) {
  const int64_t N = GENERATE(1, 7, 8, 33, 8192, 8193, 3 * 8192 + 5);
  check_sum(normal<TestType>(N, 1), 1.0, 0, N < 100 ? 2 : 0);
  check_sum(normal<TestType>(N, 1), -1.0 / double(N), 1, 0);
}

TEST_CASE("cuda sum: large sums and NaN") {
  check_sum(std::vector<float>(2 * 8192 + 3, 0.1f), 1.0, 0, 0);
  check_sum(std::vector<float16>(70, cast<float16>(6e4f)), 1.0 / 70, 0,
            0);  // beyond f16 until scaled
  std::vector<float> x = normal<float>(8200, 1);
  x[8195] = NAN;
  check_sum(x, 1.0, 0, 0);
}

TEMPLATE_TEST_CASE("cuda columns: match their definitions", "", float, bfloat16, float16) {
  const int64_t C = GENERATE(1, 3, 8, 33, 40, 200);
  for (const int64_t rows : {1, 5, 129, 300}) check_columns<TestType>(rows, C, 0, rows == 5);
  check_columns<TestType>(20, C, 1, 0);  // not aligned
  if (C == 3)
    check_columns<TestType>(1300, C, 0, 0);  // more slices than the second stage has lines
}

}  // namespace fathom
