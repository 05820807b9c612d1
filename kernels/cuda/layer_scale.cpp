#include "kernels/cuda/layer_scale.h"

#include "kernels/cuda/launch.h"
#include "kernels/layer_scale.h"

namespace fathom {

void kernels::layer_scale_forward(CudaStream stream, const Tensor& x, const Tensor& gamma,
                                  Tensor& y) {
  const int64_t C = gamma.numel();
  cuda::launch_float("layer_scale", stream, {x, gamma}, [&]<class T>(Tag<T>) {
    cuda::layer_scale_forward(stream.handle, x.device_data<T>(), gamma.device_data<T>(),
                              y.device_data<T>(), x.numel() / C, C);
  });
}

}  // namespace fathom
