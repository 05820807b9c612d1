#include "kernels/cuda/elementwise.h"

#include "kernels/cuda/launch.h"
#include "kernels/elementwise.h"

namespace fathom {

using cuda::launch_float;

void kernels::add_forward(CudaStream stream, const Tensor& a, const Tensor& b, Tensor& y) {
  launch_float("add", stream, {a, b}, [&]<class T>(Tag<T>) {
    cuda::add_forward(stream.handle, a.device_data<T>(), b.device_data<T>(), y.device_data<T>(),
                      a.numel());
  });
}

void kernels::sub_forward(CudaStream stream, const Tensor& a, const Tensor& b, Tensor& y) {
  launch_float("sub", stream, {a, b}, [&]<class T>(Tag<T>) {
    cuda::sub_forward(stream.handle, a.device_data<T>(), b.device_data<T>(), y.device_data<T>(),
                      a.numel());
  });
}

void kernels::mul_forward(CudaStream stream, const Tensor& a, const Tensor& b, Tensor& y) {
  launch_float("mul", stream, {a, b}, [&]<class T>(Tag<T>) {
    cuda::mul_forward(stream.handle, a.device_data<T>(), b.device_data<T>(), y.device_data<T>(),
                      a.numel());
  });
}

void kernels::scale_forward(CudaStream stream, const Tensor& x, double factor, Tensor& y) {
  launch_float("scale", stream, {x}, [&]<class T>(Tag<T>) {
    cuda::scale_forward(stream.handle, x.device_data<T>(), factor, y.device_data<T>(), x.numel());
  });
}

void kernels::relu_forward(CudaStream stream, const Tensor& x, Tensor& y) {
  launch_float("relu", stream, {x}, [&]<class T>(Tag<T>) {
    cuda::relu_forward(stream.handle, x.device_data<T>(), y.device_data<T>(), x.numel());
  });
}

void kernels::relu_backward(CudaStream stream, const Tensor& y, const Tensor& dy, Tensor& dx) {
  launch_float("gradient of relu", stream, {y, dy}, [&]<class T>(Tag<T>) {
    cuda::relu_backward(stream.handle, y.device_data<T>(), dy.device_data<T>(), dx.device_data<T>(),
                        y.numel());
  });
}

void kernels::sigmoid_forward(CudaStream stream, const Tensor& x, Tensor& y) {
  launch_float("sigmoid", stream, {x}, [&]<class T>(Tag<T>) {
    cuda::sigmoid_forward(stream.handle, x.device_data<T>(), y.device_data<T>(), x.numel());
  });
}

void kernels::sigmoid_backward(CudaStream stream, const Tensor& y, const Tensor& dy, Tensor& dx) {
  launch_float("gradient of sigmoid", stream, {y, dy}, [&]<class T>(Tag<T>) {
    cuda::sigmoid_backward(stream.handle, y.device_data<T>(), dy.device_data<T>(),
                           dx.device_data<T>(), y.numel());
  });
}

}  // namespace fathom
