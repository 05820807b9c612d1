#pragma once

#include "kernels/cpu/by_type.h"
#include "kernels/cpu/isa.h"

namespace fathom::cpu {

/// Loops over rows of C contiguous elements.
template <class T>
struct LayerNormLoops {
  /// mean and rstd: [rows] each, or null when nobody needs them.
  void (*forward)(const T* x, const T* weight, const T* bias, double eps, T* y, Sum<T>* mean,
                  Sum<T>* rstd, int64_t rows, int64_t C);
  /// dweight and dbias [C] receive the sums over these rows.
  void (*backward)(const T* x, const T* weight, const Sum<T>* mean, const Sum<T>* rstd, const T* dy,
                   T* dx, Sum<T>* dweight, Sum<T>* dbias, int64_t rows, int64_t C);
};

FATHOM_ISA_TABLES(ByType<LayerNormLoops>, layer_norm)

}  // namespace fathom::cpu
