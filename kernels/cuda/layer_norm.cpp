#include "kernels/cuda/layer_norm.h"

#include "kernels/cuda/launch.h"
#include "kernels/layer_norm.h"

namespace fathom {

void kernels::layer_norm_forward(CudaStream stream, const Tensor& x, const Tensor& weight,
                                 const Tensor& bias, double eps, Tensor& y, Tensor& mean,
                                 Tensor& rstd) {
  const int64_t C = weight.numel();
  cuda::launch_float("layer_norm", stream, {x, weight, bias}, [&]<class T>(Tag<T>) {
    cuda::layer_norm_forward(stream.handle, x.device_data<T>(), weight.device_data<T>(),
                             bias.device_data<T>(), float(eps), y.device_data<T>(),
                             cuda::device_data_or_null<float>(mean),
                             cuda::device_data_or_null<float>(rstd), x.numel() / C, C);
  });
}

}  // namespace fathom
