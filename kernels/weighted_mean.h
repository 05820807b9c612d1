#pragma once

#include "core/tensor.h"

namespace fathom {

/// sum of w x / sum of w, 0 if no weight is left: the mean of the images of a batch that count.
///
/// x:       [B], f32 or f64.
/// weights: [B], of x's dtype, not negative; constants. Where one is 0, x is not looked at.
/// Returns [] of x's dtype. Differentiable in x. Sums in double, in order.
Tensor weighted_mean(const Tensor& x, const Tensor& weights);

namespace kernels {  // contiguous tensors; outputs last
void weighted_mean_forward(CpuStream, const Tensor& x, const Tensor& weights, Tensor& y);
void weighted_mean_forward(CudaStream, const Tensor& x, const Tensor& weights, Tensor& y);
void weighted_mean_backward(CpuStream, const Tensor& weights, const Tensor& dy, Tensor& dx);
void weighted_mean_backward(CudaStream, const Tensor& weights, const Tensor& dy, Tensor& dx);
}  // namespace kernels
}  // namespace fathom
