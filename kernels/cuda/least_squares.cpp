#include "kernels/cuda/least_squares.h"

#include <utility>

#include "kernels/cuda/launch.h"
#include "kernels/least_squares.h"

namespace fathom {

// Handles share their storage, so a fit that is only read serves as well.
static cuda::Fit on_device(LeastSquares fit) {
  return {.scale = fit.scale.device_data<double>(),
          .shift = fit.shift.device_data<double>(),
          .mean = fit.mean.device_data<double>(),
          .squares = fit.squares.device_data<double>(),
          .count = std::as_const(fit.count).device_data<int32_t>()};
}

static Tensor workspace_for(const Tensor& x) {
  const int64_t B = x.dim(0);
  return empty({cuda::least_squares_workspace(B, x.numel() / B)}, {DType::f64, x.device()});
}

void kernels::least_squares(CudaStream stream, const Tensor& x, const Tensor& target,
                            const Tensor& mask, LeastSquares& fit) {
  const int64_t B = x.dim(0), N = x.numel() / B;
  cuda::launch("least_squares", stream, {x, target, mask}, [&] {
    Tensor workspace = workspace_for(x);
    cuda::least_squares(stream.handle, x.device_data<float>(), target.device_data<float>(),
                        mask.device_data<bool>(), on_device(fit), workspace.device_data<double>(),
                        B, N);
  });
}

void kernels::align_least_squares_forward(CudaStream stream, const Tensor& x, const Tensor& mask,
                                          const LeastSquares& fit, Tensor& y) {
  const int64_t B = x.dim(0), N = x.numel() / B;
  cuda::launch("align_least_squares", stream, {x, mask}, [&] {
    cuda::align_least_squares_forward(stream.handle, x.device_data<float>(),
                                      mask.device_data<bool>(), on_device(fit),
                                      y.device_data<float>(), B, N);
  });
}

void kernels::align_least_squares_backward(CudaStream stream, const Tensor& x, const Tensor& target,
                                           const Tensor& mask, const LeastSquares& fit,
                                           const Tensor& dy, Tensor& dx) {
  const int64_t B = x.dim(0), N = x.numel() / B;
  cuda::launch("gradient of align_least_squares", stream, {x, target, mask, dy}, [&] {
    Tensor workspace = workspace_for(x);
    cuda::align_least_squares_backward(
        stream.handle, x.device_data<float>(), target.device_data<float>(),
        mask.device_data<bool>(), on_device(fit), dy.device_data<float>(), dx.device_data<float>(),
        workspace.device_data<double>(), B, N);
  });
}

}  // namespace fathom
