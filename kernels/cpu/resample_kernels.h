#pragma once

#include "kernels/cpu/by_type.h"
#include "kernels/cpu/isa.h"

namespace fathom::cpu {

/// The two halves of a separable resampling of a row-major [H, W, C] map.
template <class T>
struct ResampleLoops {
  /// out[i] = sum over k < taps of weight[k] * x[index[k] * stride + i], for i < n.
  void (*blend_rows)(const T* x, int64_t stride, const int32_t* index, const Sum<T>* weight,
                     int64_t taps, Sum<T>* out, int64_t n);
  /// y[w, c] = sum over begin[w] <= k < begin[w+1] of weight[k] * x[index[k], c], for w < width.
  void (*blend_pixels)(const Sum<T>* x, const int32_t* begin, const int32_t* index,
                       const Sum<T>* weight, int64_t width, int64_t C, T* y);
};

FATHOM_ISA_TABLES(ByType<ResampleLoops>, resample)

}  // namespace fathom::cpu
