#include "kernels/cuda/median.h"
#include "core/gpu.h"
#include "kernels/device/warp.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 4 passes over 5 bytes an element, all but the first from L2. One block a row.
constexpr int kThreads = 1024, kWarps = kThreads / 32;
constexpr int kBins = 2048;  // digits of 11, 11 and 10 bits from the top

// Floats as integers in the same order; NaN above all, one zero.
__device__ unsigned to_key(float value) {
  if (value != value) return 0xffffffffu;
  const unsigned bits = __float_as_uint(value + 0.0f);  // -0 becomes 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__global__ void __launch_bounds__(kThreads)
    median_kernel(const float* __restrict__ x, const bool* __restrict__ mask,
                  float* __restrict__ value, int32_t* __restrict__ index,
                  int32_t* __restrict__ count, int N) {
  GPU_SHARED(histogram, unsigned[kBins]);
  GPU_SHARED(warp_total, unsigned[kWarps]);
  GPU_SHARED(chosen, unsigned[2]);  // the digit, and the rank among the keys that have it
  GPU_SHARED(found, int);

  const int64_t row = blockIdx.x;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
  x += row * N;
  if (mask != nullptr) mask += row * N;
  if (thread == 0) found = N;

  unsigned prefix = 0, rank = 0;  // the digits chosen so far, the rank among keys that share them
  for (int pass = 0; pass < 3; ++pass) {
    const int shift = pass == 0 ? 21 : pass == 1 ? 10 : 0;
    const unsigned digit_mask = pass == 2 ? 1023u : 2047u;
    const unsigned prefix_mask = pass == 0 ? 0u : pass == 1 ? ~0u << 21 : ~0u << 10;
    histogram[2 * thread] = 0;
    histogram[2 * thread + 1] = 0;
    __syncthreads();
    for (int i = thread; i < N; i += kThreads) {
      if (mask != nullptr && !mask[i]) continue;
      const unsigned key = to_key(x[i]);
      if ((key & prefix_mask) == prefix) atomicAdd(&histogram[key >> shift & digit_mask], 1u);
    }
    __syncthreads();

    // A thread has two bins; `before` becomes the number of keys below them.
    const unsigned low = histogram[2 * thread], high = histogram[2 * thread + 1];
    const unsigned within_warp = warp_prefix_sum(low + high);
    if (thread % 32 == 31) warp_total[warp] = within_warp;
    __syncthreads();
    unsigned before = within_warp - (low + high), total = 0;
    for (int w = 0; w < kWarps; ++w) {
      if (w < warp) before += warp_total[w];
      total += warp_total[w];
    }
    if (pass == 0) {
      if (thread == 0) count[row] = static_cast<int32_t>(total);
      if (total == 0) {  // for all threads alike
        if (thread == 0) value[row] = 0.0f, index[row] = -1;
        return;
      }
      rank = (total - 1) / 2;
    }
    if (before <= rank && rank < before + low) {
      chosen[0] = 2 * thread, chosen[1] = rank - before;
    } else if (before + low <= rank && rank < before + low + high) {
      chosen[0] = 2 * thread + 1, chosen[1] = rank - before - low;
    }
    __syncthreads();
    prefix |= chosen[0] << shift;
    rank = chosen[1];
  }

  for (int i = thread; i < N; i += kThreads)
    if ((mask == nullptr || mask[i]) && to_key(x[i]) == prefix) atomicMin(&found, i);
  __syncthreads();
  if (thread == 0) index[row] = found, value[row] = x[found];
}

}  // namespace

void median_forward(CUstream_st* stream, const float* x, const bool* mask, float* value,
                    int32_t* index, int32_t* count, int64_t rows, int64_t N) {
  gpu::launch(median_kernel, static_cast<unsigned>(rows), kThreads, 0, stream, x, mask, value,
              index, count, static_cast<int>(N));
}

}  // namespace fathom::cuda
