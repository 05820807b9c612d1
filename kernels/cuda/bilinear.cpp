#include "kernels/cuda/bilinear.h"

#include "kernels/bilinear.h"
#include "kernels/cuda/launch.h"

namespace fathom {

void kernels::bilinear_forward(CudaStream stream, const Tensor& x, bool align_corners, Tensor& y) {
  cuda::launch_float("interpolate_bilinear", stream, {x, y}, [&]<class T>(Tag<T>) {
    cuda::bilinear_forward(stream.handle, x.device_data<T>(), y.device_data<T>(), x.dim(0),
                           x.dim(1), x.dim(2), x.dim(3), y.dim(1), y.dim(2), align_corners);
  });
}

void kernels::bilinear_backward(CudaStream stream, const Tensor& dy, bool align_corners,
                                Tensor& dx) {
  cuda::launch_float("gradient of interpolate_bilinear", stream, {dy, dx}, [&]<class T>(Tag<T>) {
    cuda::bilinear_backward(stream.handle, dy.device_data<T>(), dx.device_data<T>(), dx.dim(0),
                            dx.dim(1), dx.dim(2), dx.dim(3), dy.dim(1), dy.dim(2), align_corners);
  });
}

}  // namespace fathom
