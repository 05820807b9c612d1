#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// softmax(q k^T / sqrt(D)) v for every head, in one pass over the keys; the launcher behind
/// fathom::attention.
///
/// qkv: [B, T, 3, heads, D] of E: float16 or bfloat16, as the qkv projection writes it.
/// y:   [B, T, heads, D] of E.
/// lse: [B, heads, T], the logarithm of the sum of exp of the scores, for the backward pass; null
///      when nobody needs it.
/// D is 32, 64, 80 or 128, T any. Products in E, everything else in float.
/// Throws Error for another D.
/// Source: Dao, "FlashAttention-2" (2023), algorithm 1.
template <class E>
void attention_forward(CUstream_st* stream, const E* qkv, E* y, float* lse, int64_t B, int64_t T,
                       int64_t heads, int64_t D);

}  // namespace fathom::cuda
