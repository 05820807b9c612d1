#pragma once

#include "core/tensor.h"

namespace fathom {

/// y = x W^T + b over the last axis.
///
/// x:      [..., K]; f64, f32, bf16 or f16.
/// weight: [N, K], or the same from pack_linear.
/// bias:   [N], or undefined.
/// Returns [..., N]. Differentiable in all arguments, but not with packed weights. Sums in f32, f64
///         in f64.
/// Throws  Error if shapes, dtypes or devices do not fit, or if an argument needs a gradient while
///         the weight is packed.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

/// gelu(x W^T + b), erf form; the activation happens on the way to memory. Otherwise as linear.
Tensor linear_gelu(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

/// residual + gamma * (x W^T + b): the end of a transformer's sublayer, LayerScale included.
///
/// gamma:    [N], or undefined for 1.
/// residual: [..., N].
/// Otherwise as linear. The gradients never touch an activation more than the plain form would:
/// with W' = diag(gamma) W, dx = dy W', dW = diag(gamma) dW', dgamma[j] = <dW'[j], W[j]> + db'[j]
/// b[j].
Tensor linear_residual(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const Tensor& gamma, const Tensor& residual);

/// A weight rearranged once for many products without gradients: Layout::packed, same shape and
/// dtype. f16 stays as it is.
Tensor pack_linear(const Tensor& weight);
/// The inverse.
Tensor unpack_linear(const Tensor& packed);

}  // namespace fathom
