#pragma once

#include "kernels/cpu/by_type.h"
#include "kernels/cpu/isa.h"

namespace fathom::cpu {

/// What all elements of a tensor share in one step; see kernels/adamw.h.
template <class T>
struct AdamwFactors {
  T keep;                    // 1 - lr * decay
  T grad_scale;              //
  T m_rate, v_keep, v_rate;  // 1 - beta1, beta2, 1 - beta2
  T rate;                    // lr / (1 - beta1^step)
  T root;                    // sqrt(1 - beta2^step)
  T eps, average_rate;       //
};

template <class T>
struct AdamwLoops {
  /// average may be null.
  void (*update)(const AdamwFactors<T>& f, const T* grad, T* weight, T* m, T* v, T* average,
                 int64_t n);
  /// sum of x^2, in double.
  double (*squares)(const T* x, int64_t n);
};

struct AdamwTable {
  AdamwLoops<double> f64;
  AdamwLoops<float> f32;
};

FATHOM_ISA_TABLES(AdamwTable, adamw)

}  // namespace fathom::cpu
