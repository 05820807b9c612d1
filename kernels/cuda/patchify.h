#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// Cuts maps into patches, one a row: rows[(b, y, x), (i, j, c)] = x[b, y p + i, x p + j, c].
///
/// x:    [B, H, W, C] of T: float, float16 or bfloat16; H and W multiples of p.
/// rows: [B * (H / p) * (W / p), patch_columns(p, C)] of T, zeros behind the p * p * C values: rows
///       of whole 16 bytes, which a product reads fast.
template <class T>
void patchify(CUstream_st* stream, const T* x, T* rows, int64_t B, int64_t H, int64_t W, int64_t C,
              int64_t p);
inline int64_t patch_columns(int64_t p, int64_t C) { return (p * p * C + 7) / 8 * 8; }

}  // namespace fathom::cuda
