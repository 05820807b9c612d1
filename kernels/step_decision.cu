#include "kernels/cuda/step_decision.h"

#include "core/gpu.h"

namespace fathom::cuda {

// One thread's work; it takes as long as a launch.
static __global__ void decide_step_kernel(const double* losses, int64_t micro_batches,
                                          const double* squares, const double* lr_factor,
                                          const __grid_constant__ StepRules rules, int64_t* counts,
                                          double* means, StepDecision* decision) {
  if (threadIdx.x == 0)
    *decision = decide(rules, losses, micro_batches, *squares, *lr_factor, counts, means);
}

void decide_step(CUstream_st* stream, const double* losses, int64_t micro_batches,
                 const double* squares, const double* lr_factor, const StepRules& rules,
                 int64_t* counts, double* means, StepDecision* decision) {
  gpu::launch(decide_step_kernel, dim3(1), 32, 0, stream, losses, micro_batches, squares, lr_factor,
              rules, counts, means, decision);
}

}  // namespace fathom::cuda
