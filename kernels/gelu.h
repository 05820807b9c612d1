#pragma once

#include "core/tensor.h"

namespace fathom {

/// x * Phi(x) with the normal distribution function Phi: the erf form, not the tanh approximation.
///
/// x: any shape, any float dtype. Differentiable.
/// Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2.
Tensor gelu(const Tensor& x);

namespace kernels {  // contiguous tensors; outputs last
void gelu_forward(CpuStream, const Tensor& x, Tensor& y);
void gelu_forward(CudaStream, const Tensor& x, Tensor& y);
void gelu_backward(CpuStream, const Tensor& x, const Tensor& dy, Tensor& dx);
void gelu_backward(CudaStream, const Tensor& x, const Tensor& dy, Tensor& dx);
}  // namespace kernels
}  // namespace fathom
