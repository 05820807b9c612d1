#include "kernels/random.h"

#include "core/cuda.h"
#include "tests/testing.h"

namespace fathom {

#ifdef FATHOM_CUDA
TEST_CASE("random: without a GPU, filling on it says why it cannot") {
  if (!cuda_devices().empty()) return;
  CHECK_THROWS_WITH(kernels::fill_uniform_cuda(nullptr, {1}, 0, 1, nullptr, 4),
                    "random: cannot fill on the GPU: " + cuda_unavailable_reason());
  CHECK_THROWS_WITH(kernels::fill_normal_cuda(nullptr, {1}, 0, 1, nullptr, 4),
                    "random: cannot fill on the GPU: " + cuda_unavailable_reason());
}
#endif

}  // namespace fathom
