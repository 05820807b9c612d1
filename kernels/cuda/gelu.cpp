#include "kernels/cuda/gelu.h"

#include "kernels/cuda/launch.h"
#include "kernels/gelu.h"

namespace fathom {

void kernels::gelu_forward(CudaStream stream, const Tensor& x, Tensor& y) {
  cuda::launch_float("gelu", stream, {x}, [&]<class T>(Tag<T>) {
    cuda::gelu_forward(stream.handle, x.device_data<T>(), y.device_data<T>(), x.numel());
  });
}

void kernels::gelu_backward(CudaStream stream, const Tensor& x, const Tensor& dy, Tensor& dx) {
  cuda::launch_float("gradient of gelu", stream, {x, dy}, [&]<class T>(Tag<T>) {
    cuda::gelu_backward(stream.handle, x.device_data<T>(), dy.device_data<T>(), dx.device_data<T>(),
                        x.numel());
  });
}

}  // namespace fathom
