#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// softmax(q k^T / sqrt(D)) v for every head, in one pass over the keys; the launcher behind
/// fathom::attention.
///
/// qkv: [B, T, 3, heads, D] of E: float, float16 or bfloat16, as the qkv projection writes it.
/// y:   [B, T, heads, D] of E.
/// lse: [B, heads, T], the logarithm of the sum of exp of the scores, for the backward pass; null
///      when nobody needs it.
/// D is 32, 64, 80 or 128, T any. Products in E, everything else in float.
/// Throws Error for another D.
/// Source: Dao, "FlashAttention-2" (2023), algorithm 1.
template <class E>
void attention_forward(CUstream_st* stream, const E* qkv, E* y, float* lse, int64_t B, int64_t T,
                       int64_t heads, int64_t D);

/// The gradient of qkv from that of y. Deterministic: no atomics, sums in a fixed order.
///
/// y, lse: what attention_forward returned.
/// delta:  [B, heads, T], to work in.
/// Source: Dao, "FlashAttention-2" (2023), algorithm 2, with dq in a kernel of its own.
template <class E>
void attention_backward(CUstream_st* stream, const E* qkv, const E* y, const float* lse,
                        const E* dy, float* delta, E* dqkv, int64_t B, int64_t T, int64_t heads,
                        int64_t D);

/// attention_forward for heads of 64 channels and T > 128, by the tensor copy engine and wgmma
/// (kernels/attention_wgmma.cu). attention_forward takes this path where it prefers it: on a device
/// of compute capability 9.0, in a build for sm_90a.
/// Source: Shah et al., "FlashAttention-3" (2024), algorithm 2.
template <class E>
void attention_forward_wgmma(CUstream_st* stream, const E* qkv, E* y, float* lse, int64_t B,
                             int64_t T, int64_t heads);
template <class E>
bool prefers_attention_wgmma(int64_t T, int64_t D);

/// attention_backward for heads of 64 channels, likewise (kernels/attention_backward_wgmma.cu).
template <class E>
void attention_backward_wgmma(CUstream_st* stream, const E* qkv, const E* y, const float* lse,
                              const E* dy, float* delta, E* dqkv, int64_t B, int64_t T,
                              int64_t heads);
template <class E>
bool prefers_attention_backward_wgmma(int64_t T, int64_t D);

// The plain path in float (kernels/attention_float.cu).
template <>
void attention_forward(CUstream_st* stream, const float* qkv, float* y, float* lse, int64_t B,
                       int64_t T, int64_t heads, int64_t D);
template <>
void attention_backward(CUstream_st* stream, const float* qkv, const float* y, const float* lse,
                        const float* dy, float* delta, float* dqkv, int64_t B, int64_t T,
                        int64_t heads, int64_t D);

}  // namespace fathom::cuda
