#pragma once

#include "core/tensor.h"

namespace fathom {

/// y = (x - mean) / sqrt(variance + eps) * weight + bias over the last axis; the variance is the
/// biased one, computed from centred values.
///
/// x:            [..., C], any float dtype.
/// weight, bias: [C], dtype and device of x.
/// skip:         if not 0, x is [B, T, C], and the first `skip` rows of every image are left out.
/// Returns [..., C], or [B, T - skip, C]. Differentiable in x, weight and bias.
/// Throws  Error if weight or bias do not match the last axis, the dtype or the device of x, or if
///         no row would be left.
/// Source: Ba et al., "Layer Normalization" (2016), equations 3 and 4.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-6,
                  int64_t skip = 0);

namespace kernels {  // contiguous tensors; outputs last
/// mean and rstd: [rows of y] in the type to compute in, or undefined. Without `skip` on the CPU.
void layer_norm_forward(CpuStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        double eps, int64_t skip, Tensor& y, Tensor& mean, Tensor& rstd);
void layer_norm_forward(CudaStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        double eps, int64_t skip, Tensor& y, Tensor& mean, Tensor& rstd);
/// dresidual: as x, added to dx; may be undefined.
void layer_norm_backward(CpuStream, const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dresidual,
                         int64_t skip, Tensor& dx, Tensor& dweight, Tensor& dbias);
void layer_norm_backward(CudaStream, const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dresidual,
                         int64_t skip, Tensor& dx, Tensor& dweight, Tensor& dbias);
}  // namespace kernels
}  // namespace fathom
