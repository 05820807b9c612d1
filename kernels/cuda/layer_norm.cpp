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

void kernels::layer_norm_backward(CudaStream stream, const Tensor& x, const Tensor& weight,
                                  const Tensor& mean, const Tensor& rstd, const Tensor& dy,
                                  Tensor& dx, Tensor& dweight, Tensor& dbias) {
  const int64_t C = weight.numel(), rows = x.numel() / C;
  cuda::launch_float("gradient of layer_norm", stream, {x, weight, dy}, [&]<class T>(Tag<T>) {
    Tensor workspace = empty({cuda::layer_norm_workspace(rows, C)}, {DType::f32, x.device()});
    const T* const no_residual = nullptr;
    T* const no_copy = nullptr;
    cuda::layer_norm_backward(
        stream.handle, x.device_data<T>(), weight.device_data<T>(), mean.device_data<float>(),
        rstd.device_data<float>(), dy.device_data<T>(), no_residual, dx.device_data<T>(), no_copy,
        dweight.device_data<T>(), dbias.device_data<T>(), workspace.device_data<float>(), rows, C);
  });
}

}  // namespace fathom
