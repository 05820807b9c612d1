#include "kernels/cuda/depth_head.h"

#include "kernels/conv2d.h"
#include "kernels/cuda/launch.h"

namespace fathom {

bool kernels::depth_head_forward(CudaStream stream, const Tensor& x, const Tensor& weight1,
                                 const Tensor& bias1, const Tensor& weight2, const Tensor& bias2,
                                 HeadActivation activation, double scale, Tensor& y) {
  if (x.dtype() == DType::f32 || x.dim(3) % 16 != 0 || weight1.dim(0) != cuda::kDepthHeadHidden)
    return false;
  const Tensor weight = weight1.contiguous();
  cuda::launch_half("depth_head", stream, {x, weight}, [&]<class T>(Tag<T>) {
    cuda::depth_head<T>(stream.handle, {.x = x.device_data<T>(),
                                        .weight1 = weight.device_data<T>(),
                                        .bias1 = bias1.device_data<T>(),
                                        .weight2 = weight2.device_data<T>(),
                                        .bias2 = bias2.device_data<T>(),
                                        .y = y.device_data<T>(),
                                        .B = x.dim(0),
                                        .h = x.dim(1),
                                        .w = x.dim(2),
                                        .F = x.dim(3),
                                        .H = y.dim(1),
                                        .W = y.dim(2),
                                        .sigmoid = activation == HeadActivation::sigmoid,
                                        .scale = float(scale)});
  });
  return true;
}

}  // namespace fathom
