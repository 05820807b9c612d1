#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// The launchers behind fathom::swiglu: y = silu(gate) * value.
///
/// x, dx: [rows, 2 h] of T: float, float16 or bfloat16; the gate first, then the value.
/// y, dy: [rows, h] of T.
template <class T>
void swiglu_forward(CUstream_st* stream, const T* x, T* y, int64_t rows, int64_t h);
template <class T>
void swiglu_backward(CUstream_st* stream, const T* x, const T* dy, T* dx, int64_t rows, int64_t h);

}  // namespace fathom::cuda
