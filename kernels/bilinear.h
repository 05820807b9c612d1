#pragma once

#include "core/tensor.h"

namespace fathom {

/// Bilinear resize to height x width, as torch.nn.functional.interpolate computes it from a size
/// (no antialias): align_corners maps corner pixels onto corner pixels, otherwise pixel areas are
/// mapped and positions before the first centre are clamped to it.
///
/// x: [B, H, W, C], any float dtype; positions are computed in float, for f64 in double.
/// Returns [B, height, width, C]. Differentiable; the gradient is gathered in a fixed order.
/// Throws  Error if x is not a map or a size is below 1.
Tensor interpolate_bilinear(const Tensor& x, int64_t height, int64_t width, bool align_corners);

namespace kernels {  // contiguous maps [B, H, W, C]; outputs last
void bilinear_forward(CpuStream, const Tensor& x, bool align_corners, Tensor& y);
void bilinear_forward(CudaStream, const Tensor& x, bool align_corners, Tensor& y);
/// The adjoint: dy has the size of y, dx that of x.
void bilinear_backward(CpuStream, const Tensor& dy, bool align_corners, Tensor& dx);
void bilinear_backward(CudaStream, const Tensor& dy, bool align_corners, Tensor& dx);
}  // namespace kernels

}  // namespace fathom
