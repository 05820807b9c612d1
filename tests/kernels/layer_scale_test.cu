#include "kernels/cuda/layer_scale.h"

#include "kernels/layer_scale.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

template <class T>
void check_layer_scale(int64_t rows, int64_t C, int64_t skip, int schedules) {
  CAPTURE(dtype_of<T>(), rows, C, skip);
  const auto x = normal<T>(rows * C, 1), gamma = normal<T>(C, 2);
  std::vector<double> expected, allowed;
  for (int64_t i = 0; i < rows * C; ++i) {
    expected.push_back(cast<double>(x[i]) * cast<double>(gamma[i % C]));
    allowed.push_back(std::abs(expected[i]) * (rounding<float>() + rounding<T>()) +
                      (dtype_of<T>() == DType::f16 ? 0x1p-25 : 1e-40));
  }
  const auto cpu = values(layer_scale(tensor_of({rows, C}, x), tensor_of({C}, gamma)));
  std::vector<T> shifted(skip);
  shifted.insert(shifted.end(), x.begin(), x.end());
  under_schedules(schedules, [&] {
    DeviceArray<T> dx(shifted), dgamma(gamma), y(rows * C);
    cuda::layer_scale_forward<T>(nullptr, dx + skip, dgamma, y, rows, C);
    CHECK(within(y.get(), expected, allowed));
    CHECK(within(y.get(), cpu, twice(allowed)));
  });
}

}  // namespace

TEMPLATE_TEST_CASE("cuda layer_scale: matches its definition", "", float, bfloat16, float16) {
  const int64_t C = GENERATE(1, 7, 33, 40, 384);
  for (const int64_t rows : {1, 8, 9, 50}) check_layer_scale<TestType>(rows, C, 0, rows == 9);
  check_layer_scale<TestType>(3, C, 1, 0);  // not aligned
}

}  // namespace fathom
