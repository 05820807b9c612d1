#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// The launchers behind fathom::gelu, the erf form.
///
/// All arrays: [N] of T: float, float16 or bfloat16; an output may be one of the inputs.
template <class T>
void gelu_forward(CUstream_st* stream, const T* x, T* y, int64_t N);
template <class T>
void gelu_backward(CUstream_st* stream, const T* x, const T* dy, T* dx, int64_t N);

}  // namespace fathom::cuda
