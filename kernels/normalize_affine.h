#pragma once

#include "kernels/masked_statistics.h"

namespace fathom {

/// y = (x - t) / s with the median t and the mean absolute deviation s of each image's valid
/// values; y = 0 where the mask is false. What is left when any affine map a x + b with a > 0 has
/// been taken out.
///
/// x:          [B, ...], f32 or f64.
/// mask:       boolean, of x's shape; may be emptied for whole images (mask_images), whose y and
///             gradients then are 0.
/// statistics: masked_statistics(x, mask), made before any image was emptied.
/// Returns x's shape. Differentiable in x, through t and s: with rho = dL/dy, n valid elements,
/// A = sum rho, C = sum rho y, S = sum sign(y),
///     dL/dx_j = (rho_j - (C/n) sign(y_j)) / s, and at the median's index - (A - (C/n) S) / s more:
/// the derivative of a median goes to the one element at `index`, and sign(0) = 0. So
/// sum_j dL/dx_j = 0 and sum_j x_j dL/dx_j = 0, unless `index` is hidden (all_with_zeros): then the
/// median is a constant. Sums in double.
/// Source: Yang et al., "Depth Anything" (2024), equations 2 and 3.
Tensor normalize_affine(const Tensor& x, const Tensor& mask, const MaskedStatistics& statistics);

namespace kernels {  // contiguous tensors; outputs last
void normalize_affine_forward(CpuStream, const Tensor& x, const Tensor& mask, const Tensor& median,
                              const Tensor& deviation, Tensor& y);
void normalize_affine_forward(CudaStream, const Tensor& x, const Tensor& mask, const Tensor& median,
                              const Tensor& deviation, Tensor& y);
void normalize_affine_backward(CpuStream, const Tensor& y, const Tensor& mask,
                               const Tensor& deviation, const Tensor& index, const Tensor& count,
                               const Tensor& dy, Tensor& dx);
void normalize_affine_backward(CudaStream, const Tensor& y, const Tensor& mask,
                               const Tensor& deviation, const Tensor& index, const Tensor& count,
                               const Tensor& dy, Tensor& dx);
}  // namespace kernels
}  // namespace fathom
