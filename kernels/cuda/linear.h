#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// out[n,k] = gamma[n] * weight[n,k]. weight, out: [N, K] of T: float, float16 or bfloat16;
/// gamma: [N] of T.
template <class T>
void scale_rows(CUstream_st* stream, const T* weight, const T* gamma, T* out, int64_t N, int64_t K);

/// From the gradients of W' = diag(gamma) W and b' = gamma * b to those of W, b and gamma:
/// dw = gamma * dw', db = gamma * db', dgamma[n] = <dw'[n], w[n]> + db'[n] b[n].
///
/// dw_folded: [N, K] and db_folded: [N] in float; bias and db: [N] of T, or both null.
template <class T>
void unfold_gamma(CUstream_st* stream, const float* dw_folded, const float* db_folded,
                  const T* weight, const T* bias, const T* gamma, T* dw, T* db, T* dgamma,
                  int64_t N, int64_t K);

}  // namespace fathom::cuda
