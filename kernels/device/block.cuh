// Sums over the threads of a block.
#pragma once

#include "kernels/device/warp.cuh"

namespace fathom::cuda {

/// The sum over the kThreads threads of the block, in every thread, always in the same order.
template <int kThreads, class T>
__device__ inline T block_sum(T value) {
  GPU_SHARED(warp_sums, T[kThreads / 32]);
  const int thread = static_cast<int>(threadIdx.x);
  value = warp_sum(value);
  __syncthreads();  // an earlier sum has been read
  if (thread % 32 == 0) warp_sums[thread / 32] = value;
  __syncthreads();
  T total = 0;
#pragma unroll
  for (int w = 0; w < kThreads / 32; ++w) total += warp_sums[w];
  return total;
}

}  // namespace fathom::cuda
