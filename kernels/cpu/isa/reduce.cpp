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

// Columns in groups of four vectors that stay in registers while the rows pass.
template <class T>
static void columns(const T* x, const T* y, Sum<T>* out, int64_t rows, int64_t C) {
  constexpr int64_t kStep = kLanes<T>;
  int64_t c = 0;
  for (; c + 4 * kStep <= C; c += 4 * kStep) {
    Vec<Acc<T>> s[4] = {};
    for (int64_t n = 0; n < rows; ++n) {
      const T* px = x + n * C + c;
      const T* py = y + n * C + c;
      for (int k = 0; k < 4; ++k)
        s[k] += y ? load(px + k * kStep) * load(py + k * kStep) : load(px + k * kStep);
    }
    for (int k = 0; k < 4; ++k) store(out + c + k * kStep, s[k]);
  }
  for (; c < C; c += kStep) {
    const int count = int(C - c < kStep ? C - c : kStep);
    Vec<Acc<T>> s{};
    for (int64_t n = 0; n < rows; ++n) {
      const Vec<Acc<T>> v = load(x + n * C + c, count);
      s += y ? v * load(y + n * C + c, count) : v;
    }
    store(out + c, s, count);
  }
}

template <class T>
constexpr ReduceLoops<T> kLoops{.sum = total<T>, .columns = columns<T>};

const ByType<ReduceLoops> reduce{kLoops<double>, kLoops<float>, kLoops<F16>, kLoops<Bf16>};

}  // namespace fathom::cpu::FATHOM_ISA
