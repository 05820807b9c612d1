#include "core/cuda/step_values.h"
#include "core/gpu.h"

namespace fathom::cuda {

static __global__ void advance_step_kernel(StepValues* values) {
  if (threadIdx.x == 0) ++values->step;
}

void advance_step(CUstream_st* stream, StepValues* values) {
  gpu::launch(advance_step_kernel, dim3(1), 32, 0, stream, values);
}

}  // namespace fathom::cuda
