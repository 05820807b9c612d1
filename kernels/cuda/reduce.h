#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// y[0] = scale * sum of x, in float by pieces and in double over the pieces, always in the same
/// order; the launcher behind fathom::sum and mean.
///
/// x: [N] of T: float, float16 or bfloat16; y: [1] of T.
/// workspace: [sum_workspace(N)] double.
template <class T>
void sum(CUstream_st* stream, const T* x, double scale, T* y, double* workspace, int64_t N);
int64_t sum_workspace(int64_t N);

/// dx[i] = scale * dy[0]. dy: [1] of T; dx: [N] of T.
template <class T>
void sum_backward(CUstream_st* stream, const T* dy, double scale, T* dx, int64_t N);

/// out[c] = sum over n of x[n,c], and of x[n,c] * y[n,c], in the same way.
///
/// x, y: [rows, C] of T; out: [C] of T, of a sum also float. workspace: [column_workspace(rows, C)]
/// float.
template <class T, class O>
void column_sum(CUstream_st* stream, const T* x, O* out, float* workspace, int64_t rows, int64_t C);
template <class T>
void column_dot(CUstream_st* stream, const T* x, const T* y, T* out, float* workspace, int64_t rows,
                int64_t C);
int64_t column_workspace(int64_t rows, int64_t C);

}  // namespace fathom::cuda
