// Sums over the lanes of a warp.
#pragma once

#include "core/gpu.h"

namespace fathom::cuda {

/// The sum over the warp, in every lane, always in the same order.
template <class T>
__device__ inline T warp_sum(T value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_xor_sync(gpu::kFullWarp, value, offset);
  return value;
}

/// The sum over the lanes up to and including this one.
__device__ inline unsigned warp_prefix_sum(unsigned value) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const unsigned before = __shfl_up_sync(gpu::kFullWarp, value, offset);
    if (lane >= offset) value += before;
  }
  return value;
}

}  // namespace fathom::cuda
