#include <cmath>

#include "core/gpu.h"
#include "kernels/cuda/attention.h"
#include "kernels/device/attention.cuh"
#include "kernels/device/tile.cuh"

namespace fathom::cuda {
namespace {

// Tensor bound: 4 * T * T * D FLOP a head, one exponential a score. The path of every architecture
// from sm_80: mma.sync with the scores in registers, keys and values double buffered by cp.async.
constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kQueries = 16 * kWarps;  // of a block; each warp has 16
constexpr int kKeys = 64;              // of a step
static_assert(kQueries == kKeys);
constexpr float kLn2 = 0.693147180559945f;

template <int D>
constexpr size_t kSharedBytes = 5 * kTileElements<kKeys, D> * 2;

template <class E, int D>
__global__ void __launch_bounds__(kThreads)
    attention_kernel(const E* __restrict__ qkv, E* __restrict__ y, float* __restrict__ lse,
                     int length, float scale_log2) {
  gpu::DynamicShared shared;
  E* q_tile = shared.take<E>(kTileElements<kKeys, D>);
  E* k_tile = shared.take<E>(kTileElements<kKeys, D>);
  E* v_tile = shared.take<E>(kTileElements<kKeys, D>);
  E* k_next = shared.take<E>(kTileElements<kKeys, D>);
  E* v_next = shared.take<E>(kTileElements<kKeys, D>);

  const int64_t heads = gridDim.y, head = blockIdx.y, image = blockIdx.z;
  const int64_t stride = 3 * heads * D;  // from token to token in qkv
  const E* const q = qkv + image * length * stride + head * D;
  const E *const k = q + heads * D, *const v = k + heads * D;
  const int first_query = static_cast<int>(blockIdx.x) * kQueries;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int steps = gpu::ceil_div(length, kKeys);

  copy_tile<kKeys, D, kThreads>(q_tile, q, first_query, length, stride);
  copy_tile<kKeys, D, kThreads>(k_tile, k, 0, length, stride);
  copy_tile<kKeys, D, kThreads>(v_tile, v, 0, length, stride);
  gpu::cp_async_commit();

  uint32_t q_fragment[D / 16][4];
  float o[D / 8][4] = {};
  float row_max[2] = {-INFINITY, -INFINITY};  // of rows lane/4 and lane/4 + 8 of the warp's 16
  float row_sum[2] = {0.0f, 0.0f};

  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      copy_tile<kKeys, D, kThreads>(k_next, k, (step + 1) * kKeys, length, stride);
      copy_tile<kKeys, D, kThreads>(v_next, v, (step + 1) * kKeys, length, stride);
    }
    gpu::cp_async_commit();
    gpu::cp_async_wait<1>();
    __syncthreads();

    if (step == 0) load_rows(q_fragment, q_tile + warp * 16 * kPitch<D>);
    float s[kKeys / 8][4] = {};
    multiply_transposed<E>(s, q_fragment, k_tile);

    const int keys_left = length - step * kKeys;
    if (keys_left < kKeys) {
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (n * 8 + lane % 4 * 2 + i % 2 >= keys_left) s[n][i] = -INFINITY;
    }

    // the running softmax, rows half = 0 and 1
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = row_max[half];
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
        largest = fmaxf(largest, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(gpu::kFullWarp, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(gpu::kFullWarp, largest, 2));
      // Exponents are relative to a rounded product; the same one everywhere, so it cancels.
      const float reference = __fmul_rn(largest, scale_log2);
      const float rescale = gpu::exp2_approximate(__fmul_rn(row_max[half], scale_log2) - reference);
      row_max[half] = largest;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          s[n][i] = gpu::exp2_approximate(fmaf(s[n][i], scale_log2, -reference));
          sum += s[n][i];
        }
      row_sum[half] = row_sum[half] * rescale + sum;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        o[n][2 * half] *= rescale;
        o[n][2 * half + 1] *= rescale;
      }
    }

    uint32_t p[kKeys / 16][4];
    as_operand<E>(p, s);
    multiply<E>(o, p, v_tile);
    __syncthreads();  // before the next step's copies overwrite these tiles
    swap(k_tile, k_next);
    swap(v_tile, v_next);
  }
  gpu::cp_async_wait<0>();

  const int row = first_query + warp * 16;
  float inverse[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = row_sum[half];
    sum += __shfl_xor_sync(gpu::kFullWarp, sum, 1);
    sum += __shfl_xor_sync(gpu::kFullWarp, sum, 2);
    inverse[half] = 1.0f / sum;
    const int query = row + lane / 4 + 8 * half;
    if (lse != nullptr && lane % 4 == 0 && query < length)
      lse[(image * heads + head) * length + query] =
          (__fmul_rn(row_max[half], scale_log2) + log2f(sum)) * kLn2;
  }
  store_rows(q_tile + warp * 16 * kPitch<D>, o, inverse, y + (image * length * heads + head) * D,
             row, length, heads * D);
}

}  // namespace

template <class E>
void attention_forward(CUstream_st* stream, const E* qkv, E* y, float* lse, int64_t B, int64_t T,
                       int64_t heads, int64_t D) {
  if (prefers_attention_wgmma<E>(T, D))
    return attention_forward_wgmma(stream, qkv, y, lse, B, T, heads);
  const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(T, kQueries)),
                  static_cast<unsigned>(heads), static_cast<unsigned>(B));
  const float scale_log2 = 1.0f / (std::sqrt(static_cast<float>(D)) * kLn2);
  visit_width(D, [&]<int kD> {
    gpu::launch(attention_kernel<device_t<E>, kD>, grid, kThreads, kSharedBytes<kD>, stream,
                on_device(qkv), on_device(y), lse, static_cast<int>(T), scale_log2);
  });
}

template void attention_forward(CUstream_st*, const float16*, float16*, float*, int64_t, int64_t,
                                int64_t, int64_t);
template void attention_forward(CUstream_st*, const bfloat16*, bfloat16*, float*, int64_t, int64_t,
                                int64_t, int64_t);

}  // namespace fathom::cuda
