#include "kernels/cuda/im2col.h"

#include "kernels/cuda/launch.h"

namespace fathom {

void kernels::im2col(CudaStream stream, const Im2col& shape, const Tensor& x, Tensor& columns) {
  cuda::launch_float("im2col", stream, {x}, [&]<class T>(Tag<T>) {
    cuda::im2col(stream.handle, shape, x.device_data<T>(), columns.device_data<T>());
  });
}

void kernels::col2im(CudaStream stream, const Im2col& shape, const Tensor& dcolumns, Tensor& dx) {
  cuda::launch_float("col2im", stream, {dcolumns}, [&]<class T>(Tag<T>) {
    cuda::col2im(stream.handle, shape, dcolumns.device_data<T>(), dx.device_data<T>());
  });
}

}  // namespace fathom
