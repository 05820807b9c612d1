#pragma once

#include "core/tensor.h"

namespace fathom {

/// Scales every channel of a residual branch: y[n,c] = gamma[c] * x[n,c].
///
/// x:      [..., C], any float dtype.
/// gamma:  [C], dtype and device of x.
/// Returns [..., C]. Differentiable in both arguments.
/// Throws  Error if gamma does not match the last axis, the dtype or the device of x.
/// Source: Touvron et al., "Going deeper with Image Transformers" (2021), section 2.
Tensor layer_scale(const Tensor& x, const Tensor& gamma);

namespace kernels {  // contiguous tensors; outputs last
void layer_scale_forward(CpuStream, const Tensor& x, const Tensor& gamma, Tensor& y);
void layer_scale_forward(CudaStream, const Tensor& x, const Tensor& gamma, Tensor& y);
}  // namespace kernels
}  // namespace fathom
