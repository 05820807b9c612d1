#include "kernels/cuda/linear.h"

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"
#include "kernels/linear.h"

namespace fathom {
namespace {

// y = x weight^T + bias + residual.
void product(CudaStream stream, const char* op, const Tensor& x, const Tensor& weight,
             const Tensor& bias, const Tensor& residual, Tensor& y) {
  const int64_t N = weight.dim(0), K = weight.numel() / N;
  cuda::launch_float(op, stream, {x, weight}, [&]<class T>(Tag<T>) {
    cuda::gemm(stream, {.dtype = x.dtype(),
                        .c_dtype = y.dtype(),
                        .a = x.device_data<T>(),
                        .b = weight.device_data<T>(),
                        .transpose_b = true,
                        .c = y.device_data<T>(),
                        .M = x.numel() / K,
                        .N = N,
                        .K = K,
                        .bias = cuda::device_data_or_null<T>(bias),
                        .add = cuda::device_data_or_null<T>(residual)});
  });
}

}  // namespace

void kernels::linear_forward(CudaStream stream, const Tensor& x, const Tensor& weight,
                             const Tensor& bias, Tensor& y) {
  product(stream, "linear", x, weight, bias, {}, y);
}

// LayerScale is folded into the weight, which is small beside x.
void kernels::linear_residual_forward(CudaStream stream, const Tensor& x, const Tensor& weight,
                                      const Tensor& bias, const Tensor& gamma,
                                      const Tensor& residual, Tensor& y) {
  if (!gamma.defined()) return product(stream, "linear_residual", x, weight, bias, residual, y);
  Tensor scaled = empty_like(weight), scaled_bias;
  scale_rows(stream, weight, gamma, scaled);
  if (bias.defined()) {
    scaled_bias = empty_like(bias);
    Tensor column = scaled_bias.view({bias.numel(), 1});
    scale_rows(stream, bias.view({bias.numel(), 1}), gamma, column);
  }
  product(stream, "linear_residual", x, scaled, scaled_bias, residual, y);
}

void kernels::linear_input_gradient(CudaStream stream, const Tensor& dy, const Tensor& weight,
                                    Tensor& dx) {
  const int64_t N = weight.dim(0), K = weight.numel() / N;
  cuda::launch_float("linear (gradient of x)", stream, {dy, weight}, [&]<class T>(Tag<T>) {
    cuda::gemm(stream, {.dtype = dy.dtype(),
                        .c_dtype = dx.dtype(),
                        .a = dy.device_data<T>(),
                        .b = weight.device_data<T>(),
                        .c = dx.device_data<T>(),
                        .M = dy.numel() / N,
                        .N = K,
                        .K = N});
  });
}

void kernels::linear_weight_gradient(CudaStream stream, const Tensor& dy, const Tensor& x,
                                     Tensor& dweight) {
  const int64_t N = dy.dim(-1), M = dy.numel() / N;
  cuda::launch_float("linear (gradient of the weight)", stream, {dy, x}, [&]<class T>(Tag<T>) {
    cuda::gemm(stream, {.dtype = dy.dtype(),
                        .c_dtype = DType::f32,
                        .a = dy.device_data<T>(),
                        .transpose_a = true,
                        .b = x.device_data<T>(),
                        .c = dweight.device_data<float>(),
                        .M = N,
                        .N = x.numel() / M,
                        .K = M});
  });
}

void kernels::bias_gradient(CudaStream stream, const Tensor& dy, Tensor& dbias) {
  const int64_t C = dbias.numel(), rows = dy.numel() / C;
  Tensor workspace = empty({cuda::column_workspace(rows, C)}, {DType::f32, dy.device()});
  cuda::launch_float("linear (gradient of the bias)", stream, {dy}, [&]<class T>(Tag<T>) {
    cuda::column_sum(stream.handle, dy.device_data<T>(), dbias.device_data<float>(),
                     workspace.device_data<float>(), rows, C);
  });
}

void kernels::scale_rows(CudaStream stream, const Tensor& weight, const Tensor& gamma,
                         Tensor& scaled) {
  cuda::launch_float("linear_residual (scale_rows)", stream, {weight}, [&]<class T>(Tag<T>) {
    cuda::scale_rows(stream.handle, weight.device_data<T>(), gamma.device_data<T>(),
                     scaled.device_data<T>(), weight.dim(0), weight.dim(1));
  });
}

void kernels::unfold_gamma(CudaStream stream, const Tensor& dw_folded, const Tensor& db_folded,
                           const Tensor& weight, const Tensor& bias, const Tensor& gamma,
                           Tensor& dweight, Tensor& dbias, Tensor& dgamma) {
  cuda::launch_float("linear_residual (unfold_gamma)", stream, {weight}, [&]<class T>(Tag<T>) {
    cuda::unfold_gamma(stream.handle, dw_folded.device_data<float>(),
                       db_folded.device_data<float>(), weight.device_data<T>(),
                       cuda::device_data_or_null<T>(bias), gamma.device_data<T>(),
                       dweight.device_data<T>(), cuda::device_data_or_null<T>(dbias),
                       dgamma.device_data<T>(), weight.dim(0), weight.dim(1));
  });
}

}  // namespace fathom
