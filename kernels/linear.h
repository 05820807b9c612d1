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
/// dtype. f16 stays as it is, and so does a weight on a CUDA device.
Tensor pack_linear(const Tensor& weight);
/// The inverse.
Tensor unpack_linear(const Tensor& packed);

namespace kernels {  // contiguous tensors; outputs last. Parts of linear, of conv2d too
/// y = x weight^T + bias.
void linear_forward(CpuStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    Tensor& y);
void linear_forward(CudaStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    Tensor& y);
/// y = residual + gamma * (x weight^T + bias); gamma may be undefined.
void linear_residual_forward(CpuStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                             const Tensor& gamma, const Tensor& residual, Tensor& y);
void linear_residual_forward(CudaStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                             const Tensor& gamma, const Tensor& residual, Tensor& y);
/// dx = dy weight.
void linear_input_gradient(CpuStream, const Tensor& dy, const Tensor& weight, Tensor& dx);
void linear_input_gradient(CudaStream, const Tensor& dy, const Tensor& weight, Tensor& dx);
/// dweight = dy^T x, in the type to compute in.
void linear_weight_gradient(CpuStream, const Tensor& dy, const Tensor& x, Tensor& dweight);
void linear_weight_gradient(CudaStream, const Tensor& dy, const Tensor& x, Tensor& dweight);
/// dbias[n] = sum of dy[..., n], in the type to compute in.
void bias_gradient(CpuStream, const Tensor& dy, Tensor& dbias);
void bias_gradient(CudaStream, const Tensor& dy, Tensor& dbias);
/// scaled = diag(gamma) weight.
void scale_rows(CpuStream, const Tensor& weight, const Tensor& gamma, Tensor& scaled);
void scale_rows(CudaStream, const Tensor& weight, const Tensor& gamma, Tensor& scaled);
/// From the gradients of diag(gamma) weight and gamma * bias, in the type to compute in, to those
/// of weight, bias (which may be undefined, and dbias with it) and gamma.
void unfold_gamma(CpuStream, const Tensor& dw_folded, const Tensor& db_folded, const Tensor& weight,
                  const Tensor& bias, const Tensor& gamma, Tensor& dweight, Tensor& dbias,
                  Tensor& dgamma);
void unfold_gamma(CudaStream, const Tensor& dw_folded, const Tensor& db_folded,
                  const Tensor& weight, const Tensor& bias, const Tensor& gamma, Tensor& dweight,
                  Tensor& dbias, Tensor& dgamma);
}  // namespace kernels

}  // namespace fathom
