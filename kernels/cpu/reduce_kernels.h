#pragma once

#include "kernels/cpu/by_type.h"
#include "kernels/cpu/isa.h"

namespace fathom::cpu {

/// Sums in a fixed order, over a piece small enough for Sum<T>; the caller adds up the pieces.
template <class T>
struct ReduceLoops {
  Sum<T> (*sum)(const T* x, int64_t n);
  /// out[c] = sum of x[n,c], or of x[n,c] * y[n,c] when y is not null, over contiguous rows.
  void (*columns)(const T* x, const T* y, Sum<T>* out, int64_t rows, int64_t C);
};

FATHOM_ISA_TABLES(ByType<ReduceLoops>, reduce)

}  // namespace fathom::cpu
