#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/dtype.h"
#include "kernels/cpu/bf16.h"
#include "tests/kernels/sweeps.h"

namespace fathom::cpu {

inline double to_double(float value) { return value; }
inline double to_double(double value) { return value; }
inline double to_double(Bf16 value) { return float(bfloat16::from_bits(value.bits)); }

template <class T>
T from_double(double value) {
  if constexpr (sizeof(T) == 2)
    return {bfloat16(float(value)).bits};
  else
    return T(value);
}

/// Half the distance from 1 to the next value: the largest relative error of one rounding.
template <class T>
double rounding() {
  return sizeof(T) == 2 ? 0x1p-8 : sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
}
/// The same for the type that sums are kept in.
template <class T>
double sum_rounding() {
  return sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
}

/// A row-major matrix of normal values whose rows stand between NaN, so that a read beside a row
/// poisons the result and a write beside it is seen by intact().
template <class T>
struct Matrix {
  int64_t rows, columns, stride;
  std::vector<T> storage;

  Matrix(int64_t rows, int64_t columns, int64_t gap, unsigned seed, double scale = 1)
      : rows(rows), columns(columns), stride(columns + gap) {
    storage.assign(size_t(stride * rows + 2 * kMargin), nan());
    std::mt19937 generator(seed);
    std::normal_distribution<double> normal(0, scale);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        data()[i * stride + j] = from_double<T>(normal(generator));
  }
  static constexpr int64_t kMargin = 64;
  static T nan() { return from_double<T>(std::numeric_limits<double>::quiet_NaN()); }
  T* data() { return storage.data() + kMargin; }
  double operator()(int64_t i, int64_t j) const {
    return to_double(storage[size_t(kMargin + i * stride + j)]);
  }
  bool intact() const {
    for (int64_t at = 0; at < int64_t(storage.size()); ++at) {
      const int64_t k = at - kMargin;
      const bool inside = k >= 0 && k < rows * stride && k % stride < columns;
      if (!inside && !std::isnan(to_double(storage[size_t(at)]))) return false;
    }
    return true;
  }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Sets the number of threads until the end of the scope.
struct ThreadScope {
  int previous;
  explicit ThreadScope(int count);
  ~ThreadScope();
};

}  // namespace fathom::cpu
