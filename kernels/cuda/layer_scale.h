#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// y[n,c] = gamma[c] * x[n,c]; the launcher behind fathom::layer_scale and half of its gradient.
///
/// x, y: [rows, C] of T: float, float16 or bfloat16; gamma: [C] of T.
template <class T>
void layer_scale_forward(CUstream_st* stream, const T* x, const T* gamma, T* y, int64_t rows,
                         int64_t C);

}  // namespace fathom::cuda
