#pragma once

#include "core/tensor.h"

namespace fathom {

/// The affine map of each image that brings x nearest to a target: scale x + shift.
struct LeastSquares {
  Tensor scale, shift;  // [B] f64
  Tensor mean;          // [B] f64: of x
  Tensor squares;       // [B] f64: sum (x - mean)^2
  Tensor count;         // [B] i32: valid elements
};

/// argmin over (s, t) of sum (s x + t - target)^2 over the valid elements of each image, centred
/// first and summed in double. Without a valid element, or if x is constant over them (all
/// deviations within the rounding of the mean), s = t = 0.
///
/// x, target: [B, ...], f32 or f64.
/// mask:      boolean, of x's shape; what it hides is not looked at.
/// Source: Ranftl et al., "Towards Robust Monocular Depth Estimation" (2020), equation 4.
LeastSquares least_squares(const Tensor& x, const Tensor& target, const Tensor& mask);

/// y = s x + t with the least-squares s and t; 0 where the mask is false, and for an image with
/// s = t = 0.
///
/// Differentiable in x, through s and t; the target is a constant, and so are images with s = t = 0
/// (no gradient). With rho = dL/dy over the n valid elements, A = sum rho, P = sum rho (x - mean
/// x), Q = sum (x - mean x)^2:
///     dL/dx_j = s (rho_j - A/n) + (P/Q) ((target_j - mean target) - 2 s (x_j - mean x)).
/// For the squared error itself A = P = 0: the envelope theorem.
Tensor align_least_squares(const Tensor& x, const Tensor& target, const Tensor& mask);

namespace kernels {  // contiguous tensors; outputs last
void least_squares(CpuStream, const Tensor& x, const Tensor& target, const Tensor& mask,
                   LeastSquares& fit);
void least_squares(CudaStream, const Tensor& x, const Tensor& target, const Tensor& mask,
                   LeastSquares& fit);
void align_least_squares_forward(CpuStream, const Tensor& x, const Tensor& mask,
                                 const LeastSquares& fit, Tensor& y);
void align_least_squares_forward(CudaStream, const Tensor& x, const Tensor& mask,
                                 const LeastSquares& fit, Tensor& y);
void align_least_squares_backward(CpuStream, const Tensor& x, const Tensor& target,
                                  const Tensor& mask, const LeastSquares& fit, const Tensor& dy,
                                  Tensor& dx);
void align_least_squares_backward(CudaStream, const Tensor& x, const Tensor& target,
                                  const Tensor& mask, const LeastSquares& fit, const Tensor& dy,
                                  Tensor& dx);
}  // namespace kernels
}  // namespace fathom
