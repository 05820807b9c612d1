#pragma once

#include <cstdint>

#include "kernels/cpu/bf16.h"

namespace fathom::cpu {

/// The bits of an IEEE binary16, for the hot loops; see Bf16.
struct F16 {
  uint16_t bits;
};

/// What a stored type is summed in: double for double, float for every other.
template <class T>
struct SumOf {
  using type = float;
};
template <>
struct SumOf<double> {
  using type = double;
};
template <class T>
using Sum = typename SumOf<T>::type;

/// A table of loops for each stored type.
template <template <class> class Loops>
struct ByType {
  Loops<double> f64;
  Loops<float> f32;
  Loops<F16> f16;
  Loops<Bf16> bf16;
};

}  // namespace fathom::cpu
