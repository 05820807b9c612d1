#include "kernels/cpu/reduce_kernels.h"

#include "kernels/cpu/isa/half.h"
#include "kernels/cpu/isa/simd.h"

namespace fathom::cpu::FATHOM_ISA {

template <class T>
static Sum<T> total(const T* x, int64_t n) {
  constexpr int64_t kStep = kLanes<T>;
  Vec<Acc<T>> s[4] = {};
  int64_t i = 0;
  for (; i + 4 * kStep <= n; i += 4 * kStep)
    for (int k = 0; k < 4; ++k) s[k] += load(x + i + k * kStep);
  for (; i + kStep <= n; i += kStep) s[0] += load(x + i);
  if (i < n) s[1] += load(x + i, int(n - i));
  return sum((s[0] + s[1]) + (s[2] + s[3]));
}

// The sums of kVecs vectors of columns stay in four registers while the rows pass, 4 / kVecs rows
// at a time: whole cache lines of a narrow matrix are read in order.
template <class T, int kVecs, class... Count>
[[gnu::always_inline]] inline void column_group(const T* x, const T* y, Sum<T>* out, int64_t rows,
                                                int64_t C, Count... count) {
  constexpr int kRows = 4 / kVecs;
  Vec<Acc<T>> s[kRows][kVecs] = {};
  const auto add_row = [&](Vec<Acc<T>>(&sums)[kVecs], int64_t n) {
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v) {
      const int64_t at = n * C + v * kLanes<T>;
      sums[v] += y ? load(x + at, count...) * load(y + at, count...) : load(x + at, count...);
    }
  };
  int64_t n = 0;
  for (; n + kRows <= rows; n += kRows)
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) add_row(s[i], n + i);
  for (; n < rows; ++n) add_row(s[0], n);
#pragma GCC unroll 4
  for (int v = 0; v < kVecs; ++v) {
    for (int i = 1; i < kRows; ++i) s[0][v] += s[i][v];
    store(out + v * kLanes<T>, s[0][v], count...);
  }
}

template <class T>
static void columns(const T* x, const T* y, Sum<T>* out, int64_t rows, int64_t C) {
  constexpr int64_t kStep = kLanes<T>;
  int64_t c = 0;
  const auto from = [&c](const T* p) { return p ? p + c : nullptr; };
  for (; c + 4 * kStep <= C; c += 4 * kStep) column_group<T, 4>(x + c, from(y), out + c, rows, C);
  for (; c + 2 * kStep <= C; c += 2 * kStep) column_group<T, 2>(x + c, from(y), out + c, rows, C);
  for (; c + kStep <= C; c += kStep) column_group<T, 1>(x + c, from(y), out + c, rows, C);
  if (c < C) column_group<T, 1>(x + c, from(y), out + c, rows, C, int(C - c));
}

template <class T>
constexpr ReduceLoops<T> kLoops{.sum = total<T>, .columns = columns<T>};

const ByType<ReduceLoops> reduce{kLoops<double>, kLoops<float>, kLoops<F16>, kLoops<Bf16>};

}  // namespace fathom::cpu::FATHOM_ISA
