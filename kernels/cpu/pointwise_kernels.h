#pragma once

#include "kernels/cpu/by_type.h"
#include "kernels/cpu/isa.h"

namespace fathom::cpu {

/// Elementwise loops over n contiguous elements; outputs last. Computed in Sum<T>, rounded once.
template <class T>
struct PointwiseLoops {
  using Unary = void (*)(const T* x, T* y, int64_t n);
  using Binary = void (*)(const T* a, const T* b, T* y, int64_t n);
  Binary add, sub, mul;
  void (*scale)(const T* x, double factor, T* y, int64_t n);
  Unary relu, sigmoid, gelu;
  Binary relu_backward;     // (y, dy, dx)
  Binary sigmoid_backward;  // (y, dy, dx)
  Binary gelu_backward;     // (x, dy, dx)
  // One row of 2h inputs [gate | value] and h outputs.
  void (*swiglu)(const T* x, T* y, int64_t h);
  void (*swiglu_backward)(const T* x, const T* dy, T* dx, int64_t h);
};

FATHOM_ISA_TABLES(ByType<PointwiseLoops>, pointwise)

}  // namespace fathom::cpu
