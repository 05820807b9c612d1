#include "kernels/cuda/reduce.h"

#include "kernels/cuda/launch.h"
#include "kernels/reduce.h"

namespace fathom {

void kernels::sum(CudaStream stream, const Tensor& x, double scale, Tensor& y) {
  cuda::launch_float("sum", stream, {x}, [&]<class T>(Tag<T>) {
    Tensor workspace = empty({cuda::sum_workspace(x.numel())}, {DType::f64, x.device()});
    cuda::sum(stream.handle, x.device_data<T>(), scale, y.device_data<T>(),
              workspace.device_data<double>(), x.numel());
  });
}

void kernels::sum_backward(CudaStream stream, const Tensor& dy, double scale, Tensor& dx) {
  cuda::launch_float("gradient of sum", stream, {dy, dx}, [&]<class T>(Tag<T>) {
    cuda::sum_backward(stream.handle, dy.device_data<T>(), scale, dx.device_data<T>(), dx.numel());
  });
}

void kernels::column_sum(CudaStream stream, const Tensor& x, Tensor& out) {
  const int64_t C = out.numel(), rows = x.numel() / C;
  cuda::launch_float("column_sum", stream, {x}, [&]<class T>(Tag<T>) {
    Tensor workspace = empty({cuda::column_workspace(rows, C)}, {DType::f32, x.device()});
    cuda::column_sum(stream.handle, x.device_data<T>(), out.device_data<T>(),
                     workspace.device_data<float>(), rows, C);
  });
}

void kernels::column_dot(CudaStream stream, const Tensor& x, const Tensor& y, Tensor& out) {
  const int64_t C = out.numel(), rows = x.numel() / C;
  cuda::launch_float("column_dot", stream, {x, y}, [&]<class T>(Tag<T>) {
    Tensor workspace = empty({cuda::column_workspace(rows, C)}, {DType::f32, x.device()});
    cuda::column_dot(stream.handle, x.device_data<T>(), y.device_data<T>(), out.device_data<T>(),
                     workspace.device_data<float>(), rows, C);
  });
}

}  // namespace fathom
