#include <cmath>

#include "core/gpu.h"
#include "kernels/cuda/attention.h"
#include "kernels/device/attention.cuh"

// Attention without tensor cores, for parity with float on the CPU.
namespace fathom::cuda {
namespace {

// FMA bound: 4 * T * T * D FLOP a head forward and 14 backward, in tiles of 32 by 32 tokens. Thread
// (r, c) of 16 x 16 has rows r and r + 16 of a product and its columns c, c + 16, c + 32 ...
constexpr int kTile = 32, kThreads = 256;
constexpr float kLn2 = 0.693147180559945f, kLog2e = 1.44269504088896f;

// Rows are an odd number of 16-byte chunks apart, so the columns of a product are in separate
// banks.
template <int D>
constexpr int kPitch = D + 4;
template <int D>
constexpr uint32_t kElements = kTile* kPitch<D>;
constexpr int kScorePitch = kTile + 1;
constexpr uint32_t kScores = kTile * kScorePitch;
template <int D>
constexpr size_t kForwardBytes = (3 * kElements<D> + kScores) * sizeof(float);
template <int D>
constexpr size_t kBackwardBytes = (4 * kElements<D> + 2 * kScores + 2 * kTile) * sizeof(float);

enum class Side { kKeys, kQueries };

template <int D>
__device__ void copy_tile(float* tile, const float* matrix, int first, int length, int64_t stride) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * D / 4; i += kThreads) {
    const int row = i / (D / 4), column = i % (D / 4) * 4;
    const bool inside = first + row < length;
    const float* source = inside ? matrix + (first + row) * stride + column : matrix;
    gpu::cp_async16(tile + row * kPitch<D> + column, source, inside);
  }
}

// s = rows columns^T
template <int D>
__device__ void multiply_transposed(float (&s)[2][2], const float* rows, const float* columns) {
  const int r = static_cast<int>(threadIdx.x) / 16, c = static_cast<int>(threadIdx.x) % 16;
#pragma unroll 4
  for (int d = 0; d < D; d += 4) {
    float4 x[2], z[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      x[i] = *reinterpret_cast<const float4*>(rows + (r + 16 * i) * kPitch<D> + d);
      z[i] = *reinterpret_cast<const float4*>(columns + (c + 16 * i) * kPitch<D> + d);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        s[i][j] = fmaf(x[i].x, z[j].x, s[i][j]);
        s[i][j] = fmaf(x[i].y, z[j].y, s[i][j]);
        s[i][j] = fmaf(x[i].z, z[j].z, s[i][j]);
        s[i][j] = fmaf(x[i].w, z[j].w, s[i][j]);
      }
  }
}

// sum += scores matrix
template <int D>
__device__ void multiply(float (&sum)[2][D / 16], const float* scores, const float* matrix) {
  const int r = static_cast<int>(threadIdx.x) / 16, c = static_cast<int>(threadIdx.x) % 16;
#pragma unroll 4
  for (int k = 0; k < kTile; ++k) {
    const float first = scores[r * kScorePitch + k], second = scores[(r + 16) * kScorePitch + k];
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      const float z = matrix[k * kPitch<D> + c + 16 * n];
      sum[0][n] = fmaf(first, z, sum[0][n]);
      sum[1][n] = fmaf(second, z, sum[1][n]);
    }
  }
}

template <int D>
__device__ void store_rows(const float (&sum)[2][D / 16], const float (&factor)[2], float* matrix,
                           int first, int length, int64_t stride) {
  const int r = static_cast<int>(threadIdx.x) / 16, c = static_cast<int>(threadIdx.x) % 16;
#pragma unroll
  for (int i = 0; i < 2; ++i)
    if (first + r + 16 * i < length)
#pragma unroll
      for (int n = 0; n < D / 16; ++n)
        matrix[(first + r + 16 * i) * stride + c + 16 * n] = sum[i][n] * factor[i];
}

template <int D>
__global__ void __launch_bounds__(kThreads)
    attention_float_kernel(const float* __restrict__ qkv, float* __restrict__ y,
                           float* __restrict__ lse, int length, float scale) {
  gpu::DynamicShared shared;
  float* const q_tile = shared.take<float>(kElements<D>);
  float* const k_tile = shared.take<float>(kElements<D>);
  float* const v_tile = shared.take<float>(kElements<D>);
  float* const p_tile = shared.take<float>(kScores);

  const int64_t heads = gridDim.y, head = blockIdx.y, image = blockIdx.z, stride = 3 * heads * D;
  const float* const q = qkv + image * length * stride + head * D;
  const float *const k = q + heads * D, *const v = k + heads * D;
  const int first_query = static_cast<int>(blockIdx.x) * kTile;
  const int r = static_cast<int>(threadIdx.x) / 16, c = static_cast<int>(threadIdx.x) % 16;
  const float scale_log2 = scale * kLog2e;

  float o[2][D / 16] = {}, row_max[2] = {-INFINITY, -INFINITY}, row_sum[2] = {};
  copy_tile<D>(q_tile, q, first_query, length, stride);
  for (int first = 0; first < length; first += kTile) {
    copy_tile<D>(k_tile, k, first, length, stride);
    copy_tile<D>(v_tile, v, first, length, stride);
    gpu::cp_async_commit();
    gpu::cp_async_wait<0>();
    __syncthreads();

    float s[2][2] = {};
    multiply_transposed<D>(s, q_tile, k_tile);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int j = 0; j < 2; ++j)
        if (first + c + 16 * j >= length) s[i][j] = -INFINITY;
      float largest = fmaxf(row_max[i], fmaxf(s[i][0], s[i][1]));
#pragma unroll
      for (int offset = 8; offset > 0; offset /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(gpu::kFullWarp, largest, offset));
      const float rescale = exp2f((row_max[i] - largest) * scale_log2);
      row_max[i] = largest;
      row_sum[i] *= rescale;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const float p = exp2f((s[i][j] - largest) * scale_log2);
        row_sum[i] += p;
        p_tile[(r + 16 * i) * kScorePitch + c + 16 * j] = p;
      }
#pragma unroll
      for (int n = 0; n < D / 16; ++n) o[i][n] *= rescale;
    }
    __syncthreads();
    multiply<D>(o, p_tile, v_tile);
    __syncthreads();  // before the next step's copies overwrite these tiles
  }

  float inverse[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    float sum = row_sum[i];
#pragma unroll
    for (int offset = 8; offset > 0; offset /= 2)
      sum += __shfl_xor_sync(gpu::kFullWarp, sum, offset);
    inverse[i] = 1.0f / sum;
    const int query = first_query + r + 16 * i;
    if (lse != nullptr && c == 0 && query < length)
      lse[(image * heads + head) * length + query] = (row_max[i] * scale_log2 + log2f(sum)) * kLn2;
  }
  store_rows<D>(o, inverse, y + (image * length * heads + head) * D, first_query, length,
                heads * D);
}

// As in kernels/attention_backward.cu: x the block's rows, z the columns of a step.
template <int D, Side kSide>
__global__ void __launch_bounds__(kThreads)
    attention_float_backward_kernel(const float* __restrict__ qkv, const float* __restrict__ dy,
                                    const float* __restrict__ lse, const float* __restrict__ delta,
                                    float* __restrict__ dqkv, int length, float scale) {
  constexpr bool kOfKeys = kSide == Side::kKeys;
  gpu::DynamicShared shared;
  float* const x1 = shared.take<float>(kElements<D>);
  float* const x2 = shared.take<float>(kElements<D>);
  float* const z1 = shared.take<float>(kElements<D>);
  float* const z2 = shared.take<float>(kElements<D>);
  float* const p_tile = shared.take<float>(kScores);
  float* const ds_tile = shared.take<float>(kScores);
  float* const statistics = shared.take<float>(2 * kTile);  // of the tile's queries: lse, delta

  const int64_t heads = gridDim.y, head = blockIdx.y, image = blockIdx.z, stride = 3 * heads * D;
  const int64_t offset = image * length * stride + head * D, dy_stride = heads * D;
  const float *const q = qkv + offset, *const k = q + heads * D, *const v = k + heads * D;
  const float* const g = dy + (image * length * heads + head) * D;
  lse += (image * heads + head) * length, delta += (image * heads + head) * length;
  const int first_row = static_cast<int>(blockIdx.x) * kTile;
  const int thread = static_cast<int>(threadIdx.x), r = thread / 16, c = thread % 16;
  const float scale_log2 = scale * kLog2e;

  copy_tile<D>(x1, kOfKeys ? k : q, first_row, length, stride);
  copy_tile<D>(x2, kOfKeys ? v : g, first_row, length, kOfKeys ? stride : dy_stride);
  float dx1[2][D / 16] = {}, dx2[2][D / 16] = {};
  for (int first = 0; first < length; first += kTile) {
    copy_tile<D>(z1, kOfKeys ? q : k, first, length, stride);
    copy_tile<D>(z2, kOfKeys ? g : v, first, length, kOfKeys ? dy_stride : stride);
    gpu::cp_async_commit();
    if (thread < kTile) {
      const int query = (kOfKeys ? first : first_row) + thread;
      statistics[thread] = query < length ? lse[query] * kLog2e : 0.0f;
      statistics[kTile + thread] = query < length ? delta[query] : 0.0f;
    }
    gpu::cp_async_wait<0>();
    __syncthreads();

    float s[2][2] = {}, dp[2][2] = {};
    multiply_transposed<D>(s, x1, z1);
    multiply_transposed<D>(dp, x2, z2);
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int row = r + 16 * i, column = c + 16 * j, query = kOfKeys ? column : row;
        const float p =
            first + column < length ? exp2f(s[i][j] * scale_log2 - statistics[query]) : 0.0f;
        p_tile[row * kScorePitch + column] = p;
        ds_tile[row * kScorePitch + column] = p * (dp[i][j] - statistics[kTile + query]);
      }
    __syncthreads();
    if constexpr (kOfKeys) multiply<D>(dx2, p_tile, z2);
    multiply<D>(dx1, ds_tile, z1);
    __syncthreads();  // before the next step's copies overwrite these tiles
  }

  float* const out = dqkv + offset + (kOfKeys ? heads * D : 0);
  store_rows<D>(dx1, {scale, scale}, out, first_row, length, stride);
  if constexpr (kOfKeys)
    store_rows<D>(dx2, {1.0f, 1.0f}, out + heads * D, first_row, length, stride);
}

dim3 grid_of(int64_t B, int64_t T, int64_t heads) {
  return dim3(static_cast<unsigned>(gpu::ceil_div<int64_t>(T, kTile)), static_cast<unsigned>(heads),
              static_cast<unsigned>(B));
}

}  // namespace

template <>
void attention_forward(CUstream_st* stream, const float* qkv, float* y, float* lse, int64_t B,
                       int64_t T, int64_t heads, int64_t D) {
  visit_width(D, [&]<int kD> {
    gpu::launch(attention_float_kernel<kD>, grid_of(B, T, heads), kThreads, kForwardBytes<kD>,
                stream, qkv, y, lse, static_cast<int>(T), 1.0f / std::sqrt(static_cast<float>(D)));
  });
}

template <>
void attention_backward(CUstream_st* stream, const float* qkv, const float* y, const float* lse,
                        const float* dy, float* delta, float* dqkv, int64_t B, int64_t T,
                        int64_t heads, int64_t D) {
  visit_width(D, [&]<int kD> {
    attention_delta(stream, y, dy, delta, B, T, heads, D);
    const auto side = [&](auto kernel) {
      gpu::launch(kernel, grid_of(B, T, heads), kThreads, kBackwardBytes<kD>, stream, qkv, dy, lse,
                  delta, dqkv, static_cast<int>(T), 1.0f / std::sqrt(static_cast<float>(D)));
    };
    side(attention_float_backward_kernel<kD, Side::kKeys>);
    side(attention_float_backward_kernel<kD, Side::kQueries>);
  });
}

}  // namespace fathom::cuda
