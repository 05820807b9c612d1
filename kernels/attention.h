#pragma once

#include "core/tensor.h"

namespace fathom {

/// Multi-head self-attention between the two linear layers of a transformer block:
/// y = softmax(q k^T / sqrt(D)) v for every head.
///
/// qkv:    [B, T, 3 * heads * D], any float dtype; columns are [q | k | v], each head after head.
/// Returns [B, T, heads * D], heads concatenated. Differentiable.
/// Memory: beside the result, O(T) a thread: scores exist for a strip of queries at a time.
/// Throws  Error if the last axis is not a multiple of 3 * heads.
/// Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.2.
Tensor attention(const Tensor& qkv, int64_t heads);

namespace kernels {  // contiguous tensors; outputs last
/// lse: [B, heads, T] in the type to compute in, or undefined: the logarithm of each softmax's sum.
void attention_forward(CpuStream, const Tensor& qkv, int64_t heads, Tensor& y, Tensor& lse);
void attention_forward(CudaStream, const Tensor& qkv, int64_t heads, Tensor& y, Tensor& lse);
void attention_backward(CpuStream, const Tensor& qkv, int64_t heads, const Tensor& y,
                        const Tensor& lse, const Tensor& dy, Tensor& dqkv);
void attention_backward(CudaStream, const Tensor& qkv, int64_t heads, const Tensor& y,
                        const Tensor& lse, const Tensor& dy, Tensor& dqkv);
}  // namespace kernels
}  // namespace fathom
