// The second stage of sums over rows: partial results, a row a block of the first stage.
#pragma once

#include "kernels/device/vector.cuh"

namespace fathom::cuda {

constexpr int kSumLanes = 32, kSumRows = 8, kSumThreads = kSumLanes * kSumRows;

template <class T>
__global__ void __launch_bounds__(kSumThreads)
    sum_rows_kernel(const float* __restrict__ partial, T* __restrict__ first,
                    T* __restrict__ second, int64_t rows, int64_t width, int64_t C) {
  GPU_SHARED(sums, double[kSumRows][kSumLanes]);
  const int lane = static_cast<int>(threadIdx.x) % kSumLanes,
            line = static_cast<int>(threadIdx.x) / kSumLanes;
  const int64_t c = int64_t(blockIdx.x) * kSumLanes + lane;
  double sum = 0;
  if (c < width)
#pragma unroll 4
    for (int64_t row = line; row < rows; row += kSumRows) sum += double(partial[row * width + c]);
  sums[line][lane] = sum;
  __syncthreads();
  if (line > 0 || c >= width) return;
  for (int i = 1; i < kSumRows; ++i) sum += sums[i][lane];
  (c < C ? first[c] : second[c - C]) = from_float<T>(static_cast<float>(sum));
}

/// [rows, C] -> first [C], or [rows, 2 C] -> first and second [C] when `second` is not null: the
/// sums over the rows, in double and always in the same order.
template <class T>
void sum_rows(CUstream_st* stream, const float* partial, T* first, T* second, int64_t rows,
              int64_t C) {
  const int64_t width = second == nullptr ? C : 2 * C;
  gpu::launch(sum_rows_kernel<device_t<T>>,
              static_cast<unsigned>(gpu::ceil_div<int64_t>(width, kSumLanes)), kSumThreads, 0,
              stream, partial, on_device(first), on_device(second), rows, width, C);
}

}  // namespace fathom::cuda
