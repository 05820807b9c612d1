#pragma once

#include "core/tensor.h"

namespace fathom {

/// Transposed convolution whose kernel equals its stride: every input pixel writes a block of
/// stride x stride output pixels of its own,
/// y[b, s i + ky, s j + kx, o] = bias[o] + sum over c of x[b, i, j, c] weight[ky, kx, o, c].
///
/// x:      [B, H, W, C]; f64, f32, bf16 or f16.
/// weight: [stride, stride, O, C], or the same from pack_conv_transpose2d.
/// bias:   [O], or undefined.
/// Returns [B, stride H, stride W, O]. Differentiable in all arguments, but with packed weights in
/// the
///         bias only. Sums in f32, f64 in f64; the bias is added to the rounded sum.
/// Throws  Error if shapes, dtypes or devices do not fit, or if x needs a gradient while the weight
///         is packed.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride);

/// A weight rearranged once for many calls without gradients.
Tensor pack_conv_transpose2d(const Tensor& weight);

}  // namespace fathom
