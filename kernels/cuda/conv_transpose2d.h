#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// map[b, s i + ky, s j + kx, o] = blocks[b, i, j, ky, kx, o] + bias[o], and the inverse order.
///
/// blocks: [B, H, W, s, s, O] of T: float, float16 or bfloat16; map: [B, s H, s W, O];
/// bias: [O] of T, or null.
template <class T>
void blocks_to_map(CUstream_st* stream, const T* blocks, const T* bias, T* map, int64_t B,
                   int64_t H, int64_t W, int64_t s, int64_t O);
template <class T>
void map_to_blocks(CUstream_st* stream, const T* map, T* blocks, int64_t B, int64_t H, int64_t W,
                   int64_t s, int64_t O);

}  // namespace fathom::cuda
