#include <cmath>

#include "core/error.h"
#include "core/gpu.h"
#include "kernels/cuda/attention.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Tensor bound: 4 * T * T * D FLOP a head, one exponential a score. The path of every architecture
// from sm_80: mma.sync with the scores in registers, keys and values double buffered by cp.async.
constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kQueries = 16 * kWarps;  // of a block; each warp has 16
constexpr int kKeys = 64;              // of a step
static_assert(kQueries == kKeys);
constexpr float kLn2 = 0.693147180559945f;

// Rows are an odd number of 16-byte chunks apart: ldmatrix without bank conflicts.
template <int D>
constexpr int kPitch = D + 8;
template <int D>
constexpr uint32_t kTile = kKeys* kPitch<D>;
template <int D>
constexpr size_t kSharedBytes = 5 * kTile<D> * 2;

// Starts the copy of rows first..first+63 of a matrix whose rows are `stride` apart; zeros past its
// end.
template <int D, class E>
__device__ void copy_tile(E* tile, const E* matrix, int first, int length, int64_t stride) {
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * D / 8; i += kThreads) {
    const int row = i / (D / 8), column = i % (D / 8) * 8;
    const bool inside = first + row < length;
    const E* source = inside ? matrix + (first + row) * stride + column : matrix;
    gpu::cp_async16(tile + row * kPitch<D> + column, source, inside);
  }
}

template <class E>
__device__ void swap(E*& a, E*& b) {
  E* c = a;
  a = b;
  b = c;
}

template <class E, int D>
__global__ void __launch_bounds__(kThreads)
    attention_kernel(const E* __restrict__ qkv, E* __restrict__ y, float* __restrict__ lse,
                     int length, float scale_log2) {
  gpu::DynamicShared shared;
  E* q_tile = shared.take<E>(kTile<D>);
  E* k_tile = shared.take<E>(kTile<D>);
  E* v_tile = shared.take<E>(kTile<D>);
  E* k_next = shared.take<E>(kTile<D>);
  E* v_next = shared.take<E>(kTile<D>);

  const int64_t heads = gridDim.y, head = blockIdx.y, image = blockIdx.z;
  const int64_t stride = 3 * heads * D;  // from token to token in qkv
  const E* const q = qkv + image * length * stride + head * D;
  const E *const k = q + heads * D, *const v = k + heads * D;
  const int first_query = static_cast<int>(blockIdx.x) * kQueries;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int steps = gpu::ceil_div(length, kKeys);

  copy_tile<D>(q_tile, q, first_query, length, stride);
  copy_tile<D>(k_tile, k, 0, length, stride);
  copy_tile<D>(v_tile, v, 0, length, stride);
  gpu::cp_async_commit();

  uint32_t q_fragment[D / 16][4];
  float o[D / 8][4] = {};
  float row_max[2] = {-INFINITY, -INFINITY};  // of rows lane/4 and lane/4 + 8 of the warp's 16
  float row_sum[2] = {0.0f, 0.0f};

  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      copy_tile<D>(k_next, k, (step + 1) * kKeys, length, stride);
      copy_tile<D>(v_next, v, (step + 1) * kKeys, length, stride);
    }
    gpu::cp_async_commit();
    gpu::cp_async_wait<1>();
    __syncthreads();

    if (step == 0) {
#pragma unroll
      for (int d = 0; d < D / 16; ++d)
        gpu::ldmatrix_x4(q_fragment[d],
                         q_tile + (warp * 16 + lane % 16) * kPitch<D> + d * 16 + lane / 16 * 8);
    }

    // s = q k^T
    float s[kKeys / 8][4] = {};
#pragma unroll
    for (int d = 0; d < D / 16; ++d)
#pragma unroll
      for (int n = 0; n < kKeys / 16; ++n) {
        uint32_t r[4];
        gpu::ldmatrix_x4(r, k_tile + (n * 16 + lane / 16 * 8 + lane % 8) * kPitch<D> + d * 16 +
                                lane / 8 % 2 * 8);
        gpu::mma_m16n8k16<E>(s[2 * n], q_fragment[d], {r[0], r[1]});
        gpu::mma_m16n8k16<E>(s[2 * n + 1], q_fragment[d], {r[2], r[3]});
      }

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
      const float rescale = exp2f((row_max[half] - largest) * scale_log2);
      row_max[half] = largest;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          s[n][i] = exp2f((s[n][i] - largest) * scale_log2);
          sum += s[n][i];
        }
      row_sum[half] = row_sum[half] * rescale + sum;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        o[n][2 * half] *= rescale;
        o[n][2 * half + 1] *= rescale;
      }
    }

    // o += s v: two neighbouring accumulators of s are one A fragment
#pragma unroll
    for (int m = 0; m < kKeys / 16; ++m) {
      const uint32_t p[4] = {gpu::pack2<E>(s[2 * m][0], s[2 * m][1]),
                             gpu::pack2<E>(s[2 * m][2], s[2 * m][3]),
                             gpu::pack2<E>(s[2 * m + 1][0], s[2 * m + 1][1]),
                             gpu::pack2<E>(s[2 * m + 1][2], s[2 * m + 1][3])};
#pragma unroll
      for (int n = 0; n < D / 16; ++n) {
        uint32_t r[4];
        gpu::ldmatrix_x4_trans(r,
                               v_tile + (m * 16 + lane % 16) * kPitch<D> + n * 16 + lane / 16 * 8);
        gpu::mma_m16n8k16<E>(o[2 * n], p, {r[0], r[1]});
        gpu::mma_m16n8k16<E>(o[2 * n + 1], p, {r[2], r[3]});
      }
    }
    __syncthreads();  // before the next step's copies overwrite these tiles
    swap(k_tile, k_next);
    swap(v_tile, v_next);
  }
  gpu::cp_async_wait<0>();

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = row_sum[half];
    sum += __shfl_xor_sync(gpu::kFullWarp, sum, 1);
    sum += __shfl_xor_sync(gpu::kFullWarp, sum, 2);
    const int row = first_query + warp * 16 + lane / 4 + 8 * half;
    if (row >= length) continue;
    const float inverse = 1.0f / sum;
    E* const out = y + ((image * length + row) * heads + head) * D + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
      *reinterpret_cast<uint32_t*>(out + n * 8) =
          gpu::pack2<E>(o[n][2 * half] * inverse, o[n][2 * half + 1] * inverse);
    if (lse != nullptr && lane % 4 == 0)
      lse[(image * heads + head) * length + row] = (row_max[half] * scale_log2 + log2f(sum)) * kLn2;
  }
}

}  // namespace

template <class E>
void attention_forward(CUstream_st* stream, const E* qkv, E* y, float* lse, int64_t B, int64_t T,
                       int64_t heads, int64_t D) {
  const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(T, kQueries)),
                  static_cast<unsigned>(heads), static_cast<unsigned>(B));
  const float scale_log2 = 1.0f / (std::sqrt(static_cast<float>(D)) * kLn2);
  const auto run = [&]<int kD> {
    gpu::launch(attention_kernel<device_t<E>, kD>, grid, kThreads, kSharedBytes<kD>, stream,
                on_device(qkv), on_device(y), lse, static_cast<int>(T), scale_log2);
  };
  switch (D) {
    case 32: return run.template operator()<32>();
    case 64: return run.template operator()<64>();
    case 80: return run.template operator()<80>();
    case 128: return run.template operator()<128>();
    default: fail("attention: heads of 32, 64, 80 or 128 channels are supported, not ", D);
  }
}

template void attention_forward(CUstream_st*, const float16*, float16*, float*, int64_t, int64_t,
                                int64_t, int64_t);
template void attention_forward(CUstream_st*, const bfloat16*, bfloat16*, float*, int64_t, int64_t,
                                int64_t, int64_t);

}  // namespace fathom::cuda
