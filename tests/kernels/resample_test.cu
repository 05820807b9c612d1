#include "kernels/cuda/resample.h"

#include "kernels/resample.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

// The tables of an axis on the device.
struct Tables {
  DeviceArray<int32_t> begin, index;
  DeviceArray<float> weight;
  explicit Tables(const AxisTaps& taps)
      : begin(taps.begin),
        index(taps.index),
        weight(std::vector<float>(taps.weight.begin(), taps.weight.end())) {}
  operator cuda::DeviceTaps() const { return {begin, index, weight}; }
};

template <class T>
void check_resample(const AxisTaps& rows, const AxisTaps& columns, int64_t B, int64_t C,
                    int schedules) {
  CAPTURE(dtype_of<T>(), rows.inputs, rows.outputs(), columns.inputs, columns.outputs(), B, C);
  const int64_t H = rows.inputs, W = columns.inputs;
  const auto x = normal<T>(B * H * W * C, 1);
  std::vector<double> expected, allowed;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t i = 0; i < rows.outputs(); ++i)
      for (int64_t j = 0; j < columns.outputs(); ++j)
        for (int64_t c = 0; c < C; ++c) {
          double sum = 0, size = 0, terms = 4;
          for (int32_t p = rows.begin[i]; p < rows.begin[i + 1]; ++p)
            for (int32_t q = columns.begin[j]; q < columns.begin[j + 1]; ++q) {
              const double term =
                  double(float(rows.weight[p])) * double(float(columns.weight[q])) *
                  cast<double>(x[((b * H + rows.index[p]) * W + columns.index[q]) * C + c]);
              sum += term, size += std::abs(term), terms += 1;
            }
          expected.push_back(sum);  // two products and at most `terms` sums
          allowed.push_back(size * terms * rounding<float>() + std::abs(sum) * rounding<T>() +
                            1e-7);
        }
  Tensor cpu = empty({B, rows.outputs(), columns.outputs(), C}, {dtype_of<T>()});
  kernels::resample(CpuStream{}, tensor_of({B, H, W, C}, x), rows, columns, cpu);
  under_schedules(schedules, [&] {
    DeviceArray<T> dx(x), y(expected.size());
    const Tables down(rows), right(columns);
    cuda::resample<T>(nullptr, dx, down, right, y, B, H, W, C, rows.outputs(), columns.outputs());
    CHECK(within(y.get(), expected, allowed));
    CHECK(within(y.get(), values(cpu), twice(allowed)));
  });
}

}  // namespace

TEMPLATE_TEST_CASE("cuda resample: matches its definition", "", float, bfloat16, float16) {
  const int64_t C = GENERATE(1, 3, 16);
  const AxisTaps rows = cubic_taps(5, 9, 5 / 9.1f), columns = cubic_taps(5, 4, 5 / 4.1f);
  check_resample<TestType>(rows, columns, 2, C, C == 3);
  check_resample<TestType>(transposed(rows), transposed(columns), 1, C, 0);
  check_resample<TestType>(antialiased_cubic_taps(11, 3), linear_taps<float>(6, 37, true), 1, C, 0);
}

}  // namespace fathom
