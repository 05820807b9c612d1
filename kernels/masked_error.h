#pragma once

#include "core/tensor.h"

namespace fathom {

/// Mean absolute and mean squared error of each image: (1/n) sum |r| and (1/n) sum r^2 over the
/// elements that `mask` keeps, 0 for an image without any.
///
/// r:       [B, ...], residuals, f32 or f64.
/// mask:    boolean, of r's shape; which residuals are summed.
/// counted: boolean, of r's shape: n is the number of its true elements. Undefined: mask.
/// Returns [B]. Differentiable in r; sign(0) = 0, and the gradient is 0 where the mask is false.
/// Sums in double, in an order that does not depend on the number of threads.
Tensor masked_mae(const Tensor& r, const Tensor& mask, const Tensor& counted = {});
Tensor masked_mse(const Tensor& r, const Tensor& mask, const Tensor& counted = {});

namespace kernels {  // contiguous tensors; outputs last
enum class ErrorKind { absolute, squared };
/// count: [B] i32, the divisors; loss: [B].
void masked_error_forward(CpuStream, const Tensor& r, const Tensor& mask, const Tensor& count,
                          ErrorKind kind, Tensor& loss);
void masked_error_forward(CudaStream, const Tensor& r, const Tensor& mask, const Tensor& count,
                          ErrorKind kind, Tensor& loss);
void masked_error_backward(CpuStream, const Tensor& r, const Tensor& mask, const Tensor& count,
                           ErrorKind kind, const Tensor& dloss, Tensor& dr);
void masked_error_backward(CudaStream, const Tensor& r, const Tensor& mask, const Tensor& count,
                           ErrorKind kind, const Tensor& dloss, Tensor& dr);
}  // namespace kernels
}  // namespace fathom
