#include "core/random.h"

#include "kernels/cuda/random.h"
#include "tests/kernel_host/testing.h"

namespace fathom {

static std::vector<float> floats(const Tensor& x) {
  return {x.data<float>(), x.data<float>() + x.numel()};
}

TEST_CASE("cuda random: the bits of the CPU") {
  const int64_t N = GENERATE(1, 3, 4, 5, 1023, 1024, 1025, 5000);
  const uint64_t position = GENERATE(uint64_t(0), uint64_t(0xffffffff), uint64_t(1) << 40);
  CAPTURE(N, position);
  Generator uniforms{0x123456789abcdef, position}, normals = uniforms;
  const std::vector<float> uniform_bits = floats(uniform({N}, uniforms, 1024, 1025)),
                           normal_bits = floats(normal({N}, normals, 3, 0.7f));
  under_schedules(0, [&] {
    DeviceArray<float> x(N);
    cuda::fill_uniform(nullptr, 0x123456789abcdef, position, 1024, 1025, x, N);
    CHECK(x.get() == uniform_bits);
    cuda::fill_normal(nullptr, 0x123456789abcdef, position, 3, 0.7f, x, N);
    CHECK(x.get() == normal_bits);
  });
}

}  // namespace fathom
