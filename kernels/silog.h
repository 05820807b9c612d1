#pragma once

#include "core/tensor.h"

namespace fathom {

/// The two forms of the scale-invariant logarithmic loss: with g = ln(p + eps) - ln(t + eps) over
/// the n valid elements, factor * sqrt(variance(g) + weight * mean(g)^2).
struct SilogOptions {
  double factor = 1;
  double weight = 0.5;  // 1 - lambda of the form mean(g^2) - lambda mean(g)^2
  double eps = 0;
  bool unbiased = false;  // the variance has the divisor n - 1, otherwise n
  int64_t least_count = 2;
};

/// sqrt(mean(g^2) - 0.5 mean(g)^2). Source: Depth-Anything-V2: metric_depth/util/loss.py.
inline constexpr SilogOptions kSilogV2{};
/// 10 sqrt(var(g) + 0.15 mean(g)^2).
/// Source: Depth-Anything: metric_depth/zoedepth/trainers/loss.py.
inline constexpr SilogOptions kSilogZoe{
    .factor = 10, .weight = 0.15, .eps = 1e-7, .unbiased = true};

/// SiLog of each image; of a batch as one (as both sources do) if all maps are viewed as [1, ...].
///
/// prediction, target: [B, ...], f32 or f64, positive where the mask is true. The target is a
///                     constant.
/// mask:               boolean, of their shape; what it hides is not looked at.
/// Returns [B]; 0 without gradient if n < least_count or n = 0. Differentiable in prediction; the
/// gradient of the root at 0 is 0. A prediction that is not positive gives infinity or NaN, which
/// is for the optimiser to find. Logarithms and sums in double, in an order that does not depend on
/// the number of threads; the variance is centred first.
Tensor silog(const Tensor& prediction, const Tensor& target, const Tensor& mask,
             const SilogOptions& options = kSilogV2);

namespace kernels {  // contiguous tensors; outputs last
/// count [B] i32; mean [B] f64 of g; loss [B].
void silog_forward(CpuStream, const Tensor& prediction, const Tensor& target, const Tensor& mask,
                   const Tensor& count, const SilogOptions& options, Tensor& mean, Tensor& loss);
void silog_forward(CudaStream, const Tensor& prediction, const Tensor& target, const Tensor& mask,
                   const Tensor& count, const SilogOptions& options, Tensor& mean, Tensor& loss);
void silog_backward(CpuStream, const Tensor& prediction, const Tensor& target, const Tensor& mask,
                    const Tensor& count, const SilogOptions& options, const Tensor& mean,
                    const Tensor& loss, const Tensor& dloss, Tensor& dprediction);
void silog_backward(CudaStream, const Tensor& prediction, const Tensor& target, const Tensor& mask,
                    const Tensor& count, const SilogOptions& options, const Tensor& mean,
                    const Tensor& loss, const Tensor& dloss, Tensor& dprediction);
}  // namespace kernels
}  // namespace fathom
