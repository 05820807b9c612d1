#include <cmath>

#include "core/gpu.h"
#include "kernels/cuda/attention.h"
#include "kernels/device/attention.cuh"
#include "kernels/device/tile.cuh"

namespace fathom::cuda {
namespace {

// Tensor bound: 14 * T * T * D FLOP a head, of which 10 count as useful, and two exponentials a
// score. Deterministic without atomics or waiting: a block owns 64 rows of the gradient and walks
// over the whole other side, so scores and probabilities are made once for dk and dv and once more
// for dq.
constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kRows = 16 * kWarps;  // of a block; each warp has 16
constexpr float kLog2e = 1.44269504088896f;

// Whose gradient a block computes: keys' and values', walking over queries, or queries'.
enum class Side { kKeys, kQueries };

// Up to 64 channels a warp keeps the operands of its rows in registers; with more it reads them
// again in every step, and a step is shorter.
template <int D>
constexpr bool kResident = D <= 64;
template <int D>
constexpr int kColumns = kResident<D> ? 64 : 32;  // of a step
// Of a multiprocessor: limits registers to 168 or 255 a thread, as it can be without spilling.
template <int D, Side kSide>
constexpr int kBlocks = D <= 32 || (kResident<D> && kSide == Side::kQueries) ? 3 : 2;
// Two stages of two tiles. Resident rows come through the second stage before it is used.
template <int D>
constexpr size_t kSharedBytes = 2 * (4 * kTileElements<kColumns<D>, D> +
                                     (kResident<D> ? 0 : 2 * kTileElements<kRows, D>)) +
                                4 * kColumns<D> * sizeof(float);

template <class E>
struct Matrix {  // of tokens
  const E* data;
  int64_t stride;
};

// With x the block's rows and z the columns of a step: s = x1 z1^T are the scores (transposed on
// the side of the keys), p = exp(s - lse), dp = x2 z2^T, ds = p (dp - delta); then dx1 += ds z1
// and, for values, dx2 += p z2.
template <class E, int D, Side kSide>
__global__ void __launch_bounds__(kThreads, kBlocks<D, kSide>)
    attention_backward_kernel(const E* __restrict__ qkv, const E* __restrict__ dy,
                              const float* __restrict__ lse, const float* __restrict__ delta,
                              E* __restrict__ dqkv, int length, float scale) {
  constexpr bool kOfKeys = kSide == Side::kKeys;
  constexpr int kStep = kColumns<D>;
  gpu::DynamicShared shared;
  E* z1 = shared.take<E>(kTileElements<kStep, D>);
  E* z2 = shared.take<E>(kTileElements<kStep, D>);
  E* z1_next = shared.take<E>(kTileElements<kStep, D>);
  E* z2_next = shared.take<E>(kTileElements<kStep, D>);
  E* const x1 = kResident<D> ? z1_next : shared.take<E>(kTileElements<kRows, D>);
  E* const x2 = kResident<D> ? z2_next : shared.take<E>(kTileElements<kRows, D>);
  float* statistics = shared.take<float>(2 * kStep);  // of the queries of a step: lse, delta
  float* statistics_next = shared.take<float>(2 * kStep);

  const int64_t heads = gridDim.y, head = blockIdx.y, image = blockIdx.z;
  const int64_t stride = 3 * heads * D;  // from token to token in qkv
  const int64_t offset = image * length * stride + head * D;
  const Matrix<E> q{qkv + offset, stride}, k{q.data + heads * D, stride},
      v{k.data + heads * D, stride}, g{dy + (image * length * heads + head) * D, heads * D};
  const Matrix<E> rows1 = kOfKeys ? k : q, rows2 = kOfKeys ? v : g;
  const Matrix<E> columns1 = kOfKeys ? q : k, columns2 = kOfKeys ? g : v;
  lse += (image * heads + head) * length, delta += (image * heads + head) * length;

  const int first_row = static_cast<int>(blockIdx.x) * kRows;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int steps = gpu::ceil_div(length, kStep);
  const float scale_log2 = scale * kLog2e;

  // Threads 0.. take the logarithms of a step's queries, the next ones their deltas.
  const auto statistic = [&](int step) {
    const int query = step * kStep + thread % kStep;
    if (!kOfKeys || thread >= 2 * kStep || query >= length) return 0.0f;
    return thread < kStep ? lse[query] * kLog2e : delta[query];
  };

  copy_tile<kRows, D, kThreads>(x1, rows1.data, first_row, length, rows1.stride);
  copy_tile<kRows, D, kThreads>(x2, rows2.data, first_row, length, rows2.stride);
  gpu::cp_async_commit();
  copy_tile<kStep, D, kThreads>(z1, columns1.data, 0, length, columns1.stride);
  copy_tile<kStep, D, kThreads>(z2, columns2.data, 0, length, columns2.stride);
  gpu::cp_async_commit();
  if (kOfKeys && thread < 2 * kStep) statistics[thread] = statistic(0);
  float row_lse[2] = {}, row_delta[2] = {};  // of rows lane/4 and lane/4 + 8 of the warp's 16
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int query = first_row + warp * 16 + lane / 4 + 8 * half;
    if (!kOfKeys && query < length)
      row_lse[half] = lse[query] * kLog2e, row_delta[half] = delta[query];
  }
  gpu::cp_async_wait<1>();
  __syncthreads();
  uint32_t a1[D / 16][4], a2[D / 16][4];
  if constexpr (kResident<D>) {
    load_rows(a1, x1 + warp * 16 * kPitch<D>);
    load_rows(a2, x2 + warp * 16 * kPitch<D>);
    __syncthreads();  // before the first copies overwrite these tiles
  }

  float dx1[D / 8][4] = {}, dx2[D / 8][4] = {};
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      copy_tile<kStep, D, kThreads>(z1_next, columns1.data, (step + 1) * kStep, length,
                                    columns1.stride);
      copy_tile<kStep, D, kThreads>(z2_next, columns2.data, (step + 1) * kStep, length,
                                    columns2.stride);
    }
    gpu::cp_async_commit();
    const float next = statistic(step + 1);  // stored after the products, which hide its latency
    gpu::cp_async_wait<1>();
    __syncthreads();

    float s[kStep / 8][4] = {}, dp[kStep / 8][4] = {};
    if constexpr (!kResident<D>) load_rows(a1, x1 + warp * 16 * kPitch<D>);
    multiply_transposed<E>(s, a1, z1);
    if constexpr (!kResident<D>) load_rows(a2, x2 + warp * 16 * kPitch<D>);
    multiply_transposed<E>(dp, a2, z2);

    const int left = length - step * kStep;
    if (left < kStep) {
#pragma unroll
      for (int n = 0; n < kStep / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (n * 8 + lane % 4 * 2 + i % 2 >= left) s[n][i] = -INFINITY;
    }
#pragma unroll
    for (int n = 0; n < kStep / 8; ++n) {
      float2 column_lse, column_delta;
      if constexpr (kOfKeys) {
        column_lse = *reinterpret_cast<const float2*>(statistics + n * 8 + lane % 4 * 2);
        column_delta = *reinterpret_cast<const float2*>(statistics + kStep + n * 8 + lane % 4 * 2);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float l = !kOfKeys ? row_lse[i / 2] : i % 2 ? column_lse.y : column_lse.x;
        const float d = !kOfKeys ? row_delta[i / 2] : i % 2 ? column_delta.y : column_delta.x;
        s[n][i] = gpu::exp2_approximate(fmaf(s[n][i], scale_log2, -l));
        dp[n][i] = s[n][i] * (dp[n][i] - d);
      }
    }

    uint32_t operand[kStep / 16][4];
    if constexpr (kOfKeys) {
      as_operand<E>(operand, s);
      multiply<E>(dx2, operand, z2);
    }
    as_operand<E>(operand, dp);
    multiply<E>(dx1, operand, z1);

    if (kOfKeys && thread < 2 * kStep) statistics_next[thread] = next;
    __syncthreads();  // before the next step's copies overwrite these tiles
    swap(z1, z1_next);
    swap(z2, z2_next);
    swap(statistics, statistics_next);
  }
  gpu::cp_async_wait<0>();

  const int row = first_row + warp * 16;
  E* const out = dqkv + offset + (kOfKeys ? heads * D : 0);
  store_rows(x1 + warp * 16 * kPitch<D>, dx1, {scale, scale}, out, row, length, stride);
  if constexpr (kOfKeys)
    store_rows(x2 + warp * 16 * kPitch<D>, dx2, {1.0f, 1.0f}, out + heads * D, row, length, stride);
}

}  // namespace

template <class E>
void attention_backward(CUstream_st* stream, const E* qkv, const E* y, const float* lse,
                        const E* dy, float* delta, E* dqkv, int64_t B, int64_t T, int64_t heads,
                        int64_t D) {
  if (prefers_attention_backward_wgmma<E>(T, D))
    return attention_backward_wgmma(stream, qkv, y, lse, dy, delta, dqkv, B, T, heads);
  const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(T, kRows)),
                  static_cast<unsigned>(heads), static_cast<unsigned>(B));
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  visit_width(D, [&]<int kD> {
    attention_delta(stream, on_device(y), on_device(dy), delta, B, T, heads, D);
    const auto side = [&](auto kernel) {
      gpu::launch(kernel, grid, kThreads, kSharedBytes<kD>, stream, on_device(qkv), on_device(dy),
                  lse, delta, on_device(dqkv), static_cast<int>(T), scale);
    };
    side(attention_backward_kernel<device_t<E>, kD, Side::kKeys>);
    side(attention_backward_kernel<device_t<E>, kD, Side::kQueries>);
  });
}

template void attention_backward(CUstream_st*, const float16*, const float16*, const float*,
                                 const float16*, float*, float16*, int64_t, int64_t, int64_t,
                                 int64_t);
template void attention_backward(CUstream_st*, const bfloat16*, const bfloat16*, const float*,
                                 const bfloat16*, float*, bfloat16*, int64_t, int64_t, int64_t,
                                 int64_t);

}  // namespace fathom::cuda
