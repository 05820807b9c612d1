// The element of a given rank, by radix selection: exact, and with integers alone.
#pragma once

#include "kernels/device/warp.cuh"

namespace fathom::cuda {

constexpr int kSelectThreads = 1024, kSelectWarps = kSelectThreads / 32;
constexpr int kBins = 2048;  // digits of 11, 11 and 10 bits from the top

/// Floats as integers in the same order; NaN above all, one zero.
__device__ inline unsigned to_key(float value) {
  if (value != value) return 0xffffffffu;
  const unsigned bits = __float_as_uint(value + 0.0f);  // -0 becomes 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ inline float from_key(unsigned key) {
  return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

struct Selected {
  unsigned total;  // keys that took part; without any the others are 0
  unsigned key;    // the one of the wanted rank
  unsigned rank;   // its rank among the keys that equal it: equal ones before it
};

/// For a block of kSelectThreads; the same result in every thread. key_of(i, key) says whether
/// element i of N takes part, and its key; rank_of(total) is the wanted rank, from 0.
template <class KeyOf, class RankOf>
__device__ inline Selected select(int N, KeyOf key_of, RankOf rank_of) {
  GPU_SHARED(histogram, unsigned[kBins]);
  GPU_SHARED(warp_total, unsigned[kSelectWarps]);
  GPU_SHARED(chosen, unsigned[2]);  // the digit, and the rank among the keys that have it
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;

  unsigned prefix = 0, rank = 0;  // the digits chosen so far, the rank among keys that share them
  unsigned all = 0;
  for (int pass = 0; pass < 3; ++pass) {
    const int shift = pass == 0 ? 21 : pass == 1 ? 10 : 0;
    const unsigned digit_mask = pass == 2 ? 1023u : 2047u;
    const unsigned prefix_mask = pass == 0 ? 0u : pass == 1 ? ~0u << 21 : ~0u << 10;
    histogram[2 * thread] = 0;
    histogram[2 * thread + 1] = 0;
    __syncthreads();
    for (int i = thread; i < N; i += kSelectThreads) {
      unsigned key = 0;
      if (!key_of(i, key)) continue;
      if ((key & prefix_mask) == prefix) atomicAdd(&histogram[key >> shift & digit_mask], 1u);
    }
    __syncthreads();

    // A thread has two bins; `before` becomes the number of keys below them.
    const unsigned low = histogram[2 * thread], high = histogram[2 * thread + 1];
    const unsigned within_warp = warp_prefix_sum(low + high);
    if (thread % 32 == 31) warp_total[warp] = within_warp;
    __syncthreads();
    unsigned before = within_warp - (low + high), total = 0;
    for (int w = 0; w < kSelectWarps; ++w) {
      if (w < warp) before += warp_total[w];
      total += warp_total[w];
    }
    if (pass == 0) {
      if (total == 0) return {0, 0, 0};  // for all threads alike
      all = total;
      rank = rank_of(total);
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
  return {all, prefix, rank};
}

}  // namespace fathom::cuda
