#pragma once

#include "core/tensor.h"

namespace fathom {

/// y = (x - mean) / sqrt(variance + eps) * weight + bias over the last axis; the variance is the
/// biased one, computed from centred values.
///
/// x:            [..., C], any float dtype.
/// weight, bias: [C], dtype and device of x.
/// Returns [..., C]. Differentiable in x, weight and bias.
/// Throws  Error if weight or bias do not match the last axis, the dtype or the device of x.
/// Source: Ba et al., "Layer Normalization" (2016), equations 3 and 4.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-6);

namespace kernels {  // contiguous tensors; outputs last
/// mean and rstd: [rows] in the type to compute in, or undefined.
void layer_norm_forward(CpuStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        double eps, Tensor& y, Tensor& mean, Tensor& rstd);
void layer_norm_forward(CudaStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        double eps, Tensor& y, Tensor& mean, Tensor& rstd);
void layer_norm_backward(CpuStream, const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, Tensor& dx, Tensor& dweight,
                         Tensor& dbias);
void layer_norm_backward(CudaStream, const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, Tensor& dx, Tensor& dweight,
                         Tensor& dbias);
}  // namespace kernels
}  // namespace fathom
