// Tiles of 16-bit elements in shared memory, and products of a warp's 16 rows with them by
// mma.sync.
#pragma once

#include "core/gpu.h"

namespace fathom::cuda {

/// Elements from row to row of a tile: an odd number of 16-byte chunks, so that ldmatrix finds the
/// rows of a matrix in different banks. kColumns is a multiple of 16.
template <int kColumns>
inline constexpr int kPitch = kColumns + 8;
template <int kRows, int kColumns>
inline constexpr uint32_t kTileElements = kRows* kPitch<kColumns>;

/// Starts the copy of rows first..first + kRows - 1 of a matrix whose rows are `stride` apart;
/// zeros past its end.
template <int kRows, int kColumns, int kThreads, class E>
__device__ inline void copy_tile(E* tile, const E* matrix, int first, int length, int64_t stride) {
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kColumns / 8; i += kThreads) {
    const int row = i / (kColumns / 8), column = i % (kColumns / 8) * 8;
    const bool inside = first + row < length;
    const E* source = inside ? matrix + (first + row) * stride + column : matrix;
    gpu::cp_async16(tile + row * kPitch<kColumns> + column, source, inside);
  }
}

/// The 16 rows from `rows` on as the left operand: 16 columns in each a[k].
template <class E, int K>
__device__ inline void load_rows(uint32_t (&a)[K][4], const E* rows) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < K; ++k)
    gpu::ldmatrix_x4(a[k], rows + lane % 16 * kPitch<16 * K> + k * 16 + lane / 16 * 8);
}

/// c += a b^T for a tile b of 8 * N rows: c[n] holds columns 8 * n on, of them 2 * (lane % 4) and
/// the next, in rows lane / 4 (first two values) and lane / 4 + 8.
template <class E, int N, int K>
__device__ inline void multiply_transposed(float (&c)[N][4], const uint32_t (&a)[K][4],
                                           const E* b) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int n = 0; n < N / 2; ++n) {
      uint32_t r[4];
      gpu::ldmatrix_x4(
          r, b + (n * 16 + lane / 16 * 8 + lane % 8) * kPitch<16 * K> + k * 16 + lane / 8 % 2 * 8);
      gpu::mma_m16n8k16<E>(c[2 * n], a[k], {r[0], r[1]});
      gpu::mma_m16n8k16<E>(c[2 * n + 1], a[k], {r[2], r[3]});
    }
}

/// c += a b for a tile b of 16 * K rows and 8 * N columns.
template <class E, int N, int K>
__device__ inline void multiply(float (&c)[N][4], const uint32_t (&a)[K][4], const E* b) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int n = 0; n < N / 2; ++n) {
      uint32_t r[4];
      gpu::ldmatrix_x4_trans(r, b + (k * 16 + lane % 16) * kPitch<8 * N> + n * 16 + lane / 16 * 8);
      gpu::mma_m16n8k16<E>(c[2 * n], a[k], {r[0], r[1]});
      gpu::mma_m16n8k16<E>(c[2 * n + 1], a[k], {r[2], r[3]});
    }
}

/// max(x, 0) of two bf16 or half in a register; a NaN stays one.
template <class E>
__device__ inline uint32_t relu2(uint32_t pair) {
  using Pair = std::conditional_t<std::is_same_v<E, __nv_bfloat16>, __nv_bfloat162, __half2>;
  const uint32_t zeros = 0;
  const Pair result =
      __hmax2_nan(reinterpret_cast<const Pair&>(pair), reinterpret_cast<const Pair&>(zeros));
  return reinterpret_cast<const uint32_t&>(result);
}

/// A product's result rounded to E, as the left operand of the next product: two neighbouring
/// accumulators are one fragment.
template <class E, int N>
__device__ inline void as_operand(uint32_t (&a)[N / 2][4], const float (&c)[N][4]) {
#pragma unroll
  for (int k = 0; k < N / 2; ++k) {
    a[k][0] = gpu::pack2<E>(c[2 * k][0], c[2 * k][1]);
    a[k][1] = gpu::pack2<E>(c[2 * k][2], c[2 * k][3]);
    a[k][2] = gpu::pack2<E>(c[2 * k + 1][0], c[2 * k + 1][1]);
    a[k][3] = gpu::pack2<E>(c[2 * k + 1][2], c[2 * k + 1][3]);
  }
}

/// Writes the warp's 16 rows, times `factor` (of rows lane / 4 and lane / 4 + 8), from row `first`
/// of a matrix on, but for those past its end and past `columns`: 16 bytes at a time, through 16
/// rows of a tile that no other warp uses.
template <class E, int N>
__device__ inline void store_rows(E* rows, const float (&c)[N][4], const float (&factor)[2],
                                  E* matrix, int64_t first, int64_t length, int64_t stride,
                                  int columns = 8 * N) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int n = 0; n < N; ++n)
      *reinterpret_cast<uint32_t*>(rows + (lane / 4 + 8 * half) * kPitch<8 * N> + n * 8 +
                                   lane % 4 * 2) =
          gpu::pack2<E>(c[n][2 * half] * factor[half], c[n][2 * half + 1] * factor[half]);
  __syncwarp();
#pragma unroll
  for (int i = lane; i < 16 * N; i += 32) {
    const int row = i / N, column = i % N * 8;
    if (first + row < length && column < columns)
      *reinterpret_cast<uint4*>(matrix + (first + row) * stride + column) =
          *reinterpret_cast<const uint4*>(rows + row * kPitch<8 * N> + column);
  }
}

}  // namespace fathom::cuda
