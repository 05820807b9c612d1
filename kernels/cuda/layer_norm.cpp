#include "kernels/cuda/layer_norm.h"

#include "kernels/cuda/launch.h"
#include "kernels/layer_norm.h"

namespace fathom {

static cuda::ImageRows images_of(const Tensor& x, int64_t skip) {
  return skip == 0 ? cuda::ImageRows{} : cuda::ImageRows{skip, x.dim(1) - skip};
}

void kernels::layer_norm_forward(CudaStream stream, const Tensor& x, const Tensor& weight,
                                 const Tensor& bias, double eps, int64_t skip, Tensor& y,
                                 Tensor& mean, Tensor& rstd) {
  const int64_t C = weight.numel();
  cuda::launch_float("layer_norm", stream, {x, weight, bias}, [&]<class T>(Tag<T>) {
    cuda::layer_norm_forward(
        stream.handle, x.device_data<T>(), weight.device_data<T>(), bias.device_data<T>(),
        float(eps), y.device_data<T>(), cuda::device_data_or_null<float>(mean),
        cuda::device_data_or_null<float>(rstd), y.numel() / C, C, images_of(x, skip));
  });
}

void kernels::layer_norm_backward(CudaStream stream, const Tensor& x, const Tensor& weight,
                                  const Tensor& mean, const Tensor& rstd, const Tensor& dy,
                                  const Tensor& dresidual, int64_t skip, Tensor& dx,
                                  Tensor& dweight, Tensor& dbias) {
  const int64_t C = weight.numel(), rows = dy.numel() / C;
  cuda::launch_float("gradient of layer_norm", stream, {x, weight, dy}, [&]<class T>(Tag<T>) {
    Tensor workspace = empty({cuda::layer_norm_workspace(rows, C)}, {DType::f32, x.device()});
    T* const no_copy = nullptr;
    cuda::layer_norm_backward(
        stream.handle, x.device_data<T>(), weight.device_data<T>(), mean.device_data<float>(),
        rstd.device_data<float>(), dy.device_data<T>(), cuda::device_data_or_null<T>(dresidual),
        dx.device_data<T>(), no_copy, dweight.device_data<T>(), dbias.device_data<T>(),
        workspace.device_data<float>(), rows, C, images_of(x, skip));
  });
}

}  // namespace fathom
