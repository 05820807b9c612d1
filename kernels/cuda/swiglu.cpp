#include "kernels/cuda/swiglu.h"

#include "kernels/cuda/launch.h"
#include "kernels/swiglu.h"

namespace fathom {

void kernels::swiglu_forward(CudaStream stream, const Tensor& x, Tensor& y) {
  const int64_t h = y.dim(-1);
  cuda::launch_float("swiglu", stream, {x}, [&]<class T>(Tag<T>) {
    cuda::swiglu_forward(stream.handle, x.device_data<T>(), y.device_data<T>(), y.numel() / h, h);
  });
}

void kernels::swiglu_backward(CudaStream stream, const Tensor& x, const Tensor& dy, Tensor& dx) {
  const int64_t h = dy.dim(-1);
  cuda::launch_float("gradient of swiglu", stream, {x, dy}, [&]<class T>(Tag<T>) {
    cuda::swiglu_backward(stream.handle, x.device_data<T>(), dy.device_data<T>(),
                          dx.device_data<T>(), dy.numel() / h, h);
  });
}

}  // namespace fathom
