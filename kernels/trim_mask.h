#pragma once

#include "core/tensor.h"

namespace fathom {

/// Which of an image's n valid residuals a trimmed loss keeps, by their size |r|. With k = trim:
enum class TrimRule {
  /// |r| < v, strictly, v the (1 - k) quantile interpolated linearly between neighbours (position
  /// (1 - k)(n - 1) of the sorted sizes; torch.quantile's default). All equal: none is kept.
  /// Source: the author on Yang et al., "Depth Anything V2" (2024), section 5.2, in issue 108 of
  /// DepthAnything/Depth-Anything-V2; there k = 0.1.
  below_quantile,
  /// The floor(n (1 - k)) smallest; of equal ones those that come first.
  /// Source: Ranftl et al., "Towards Robust Monocular Depth Estimation" (2020), section 5, where
  /// k = 0.2 and the divisor stays n.
  smallest,
};

/// The mask of the residuals that are kept. Not differentiable: a constant of the loss around it.
///
/// r:    [B, ...], f32 or f64. A NaN is larger than every number, and always kept: it shall reach
///       the loss, where the step that made it is found and skipped.
/// mask: boolean, of r's shape.
/// trim: k in [0, 1).
/// Positions, v and comparisons in double, so f32 and f64 keep the same pixels.
Tensor trim_mask(const Tensor& r, const Tensor& mask, TrimRule rule, double trim);

namespace kernels {  // contiguous tensors; outputs last
void trim_mask(CpuStream, const Tensor& r, const Tensor& mask, TrimRule rule, double trim,
               Tensor& kept);
void trim_mask(CudaStream, const Tensor& r, const Tensor& mask, TrimRule rule, double trim,
               Tensor& kept);
}  // namespace kernels
}  // namespace fathom
