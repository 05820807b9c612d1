#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// y = (x - mean) / sqrt(var + eps) * weight + bias along rows of C elements; the launcher behind
/// fathom::layer_norm.
///
/// x, y:       [rows, C] of T: float, float16 or bfloat16.
/// weight:     [C] of P: T or float; bias likewise.
/// mean, rstd: [rows], for the backward pass; null when nobody needs them.
/// Any C; multiples of 16 bytes up to C = 1536 are read once.
template <class T, class P>
void layer_norm_forward(CUstream_st* stream, const T* x, const P* weight, const P* bias, float eps,
                        T* y, float* mean, float* rstd, int64_t rows, int64_t C);

}  // namespace fathom::cuda
