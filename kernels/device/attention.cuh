// What the kernels of attention share: the widths of a head, the first step of the backward pass.
#pragma once

#include "core/error.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {

template <class T>
__device__ inline void swap(T& a, T& b) {
  T c = a;
  a = b;
  b = c;
}

/// Calls run.operator()<D>() with the channels of a head as a constant.
template <class F>
void visit_width(int64_t D, F run) {
  switch (D) {
    case 32: return run.template operator()<32>();
    case 64: return run.template operator()<64>();
    case 80: return run.template operator()<80>();
    case 128: return run.template operator()<128>();
    default: fail("attention: heads of 32, 64, 80 or 128 channels are supported, not ", D);
  }
}

inline constexpr int kDeltaThreads = 256;

/// delta[b,h,t] = sum over a head's channels of y * dy. Memory bound: 2 * sizeof(E) bytes an
/// element of y. Eight lanes share a row and read 16 bytes each; rows are counted in the order of
/// delta.
template <class E>
__global__ void __launch_bounds__(kDeltaThreads)
    attention_delta_kernel(const E* __restrict__ y, const E* __restrict__ dy,
                           float* __restrict__ delta, int64_t rows, int length, int heads, int D) {
  constexpr int kWide = kVector<E>;
  const int64_t row = int64_t(blockIdx.x) * (kDeltaThreads / 8) + threadIdx.x / 8;
  float sum = 0.0f;
  if (row < rows) {
    const int64_t t = row % length, head = row / length % heads, image = row / length / heads;
    const int64_t at = ((image * length + t) * heads + head) * D;
    for (int d = static_cast<int>(threadIdx.x) % 8 * kWide; d < D; d += 8 * kWide) {
      float a[kWide], b[kWide];
      load(a, y + at + d);
      load(b, dy + at + d);
#pragma unroll
      for (int i = 0; i < kWide; ++i) sum += a[i] * b[i];
    }
  }
#pragma unroll
  for (int offset = 4; offset > 0; offset /= 2) sum += __shfl_xor_sync(gpu::kFullWarp, sum, offset);
  if (row < rows && threadIdx.x % 8 == 0) delta[row] = sum;
}

template <class E>
void attention_delta(CUstream_st* stream, const E* y, const E* dy, float* delta, int64_t B,
                     int64_t T, int64_t heads, int64_t D) {
  const int64_t rows = B * heads * T;
  gpu::launch(attention_delta_kernel<E>,
              dim3(static_cast<unsigned>(gpu::ceil_div<int64_t>(rows, kDeltaThreads / 8))),
              kDeltaThreads, 0, stream, y, dy, delta, rows, static_cast<int>(T),
              static_cast<int>(heads), static_cast<int>(D));
}

}  // namespace fathom::cuda
