#include "kernels/cuda/step_decision.h"

#include "kernels/cuda/launch.h"
#include "kernels/step_decision.h"

namespace fathom {

void kernels::decide_step(CudaStream stream, const Tensor& losses, const Tensor& squares,
                          const Tensor& lr_factor, const StepRules& rules, Tensor& counts,
                          Tensor& means, Tensor& decision) {
  cuda::launch("decide_step", stream, {losses}, [&] {
    cuda::decide_step(stream.handle, losses.device_data<double>(), losses.numel(),
                      squares.device_data<double>(), lr_factor.device_data<double>(), rules,
                      counts.device_data<int64_t>(), means.device_data<double>(),
                      reinterpret_cast<StepDecision*>(decision.device_data<double>()));
  });
}

}  // namespace fathom
