#pragma once

#include "core/tensor.h"

namespace fathom {

/// What the differences of a level are divided by.
enum class GradientDivisor {
  level,  // the valid pixels of that level, as in the code of Ranftl et al.
  image,  // the valid pixels of the full map, as in their paper
};

struct GradientMatchingOptions {
  int levels = 4;
  GradientDivisor divisor = GradientDivisor::level;
};

/// Multi-scale gradient matching: the slopes of a residual map, small where the edges of prediction
/// and target agree. Level k = 0, 1, ... sees rows and columns 0, 2^k, 2 * 2^k, ... of the map
/// (strided, no filter) and gives
///     (1/n) ( sum |r[y, x + 2^k] - r[y, x]| + sum |r[y + 2^k, x] - r[y, x]| )
/// over the pairs whose pixels are both valid; the levels are added. A level without a valid pixel
/// gives 0. What the mask hides is not looked at.
///
/// r:    [B, H, W], f32 or f64: normalised prediction minus normalised target.
/// mask: boolean, of r's shape.
/// Returns [B]. Differentiable in r; sign(0) = 0. Sums in double, in an order that does not depend
/// on the number of threads. Throws Error on other dtypes or shapes, or if levels is not 1..16.
/// Source: Ranftl et al., "Towards Robust Monocular Depth Estimation" (2020), equation 11.
Tensor gradient_matching(const Tensor& r, const Tensor& mask,
                         const GradientMatchingOptions& options = {});

namespace kernels {  // contiguous tensors; outputs last
/// divisors [B, levels] f64: 1/n of each level, 0 where n = 0; the backward pass reads them.
void gradient_matching_forward(CpuStream, const Tensor& r, const Tensor& mask,
                               const GradientMatchingOptions& options, Tensor& divisors,
                               Tensor& loss);
void gradient_matching_forward(CudaStream, const Tensor& r, const Tensor& mask,
                               const GradientMatchingOptions& options, Tensor& divisors,
                               Tensor& loss);
void gradient_matching_backward(CpuStream, const Tensor& r, const Tensor& mask,
                                const Tensor& divisors, const Tensor& dloss, Tensor& dr);
void gradient_matching_backward(CudaStream, const Tensor& r, const Tensor& mask,
                                const Tensor& divisors, const Tensor& dloss, Tensor& dr);
}  // namespace kernels
}  // namespace fathom
