#include "kernels/cpu/resample_kernels.h"

#include "kernels/cpu/isa/half.h"
#include "kernels/cpu/isa/simd.h"

namespace fathom::cpu::FATHOM_ISA {

// Sum over the taps, from the first to the last: the order that makes results reproducible.
template <class T, class Out>
[[gnu::always_inline]] inline void blend(const T* x, int64_t stride, const int32_t* index,
                                         const Acc<T>* weight, int64_t taps, Out* out, int64_t n) {
  constexpr int64_t kStep = kLanes<T>;
  using V = Vec<Acc<T>>;
  int64_t i = 0;
  if (taps == 2) {  // bilinear enlarging, the common case
    const T *a = x + index[0] * stride, *b = x + index[1] * stride;
    const V wa = broadcast(weight[0]), wb = broadcast(weight[1]);
    for (; i + kStep <= n; i += kStep) store(out + i, fma(wb, load(b + i), wa * load(a + i)));
    if (i < n) {
      const int rest = int(n - i);
      store(out + i, fma(wb, load(b + i, rest), wa * load(a + i, rest)), rest);
    }
    return;
  }
  for (; i + kStep <= n; i += kStep) {
    V s{};
    for (int64_t k = 0; k < taps; ++k)
      s = fma(broadcast(weight[k]), load(x + index[k] * stride + i), s);
    store(out + i, s);
  }
  if (i < n) {
    const int rest = int(n - i);
    V s{};
    for (int64_t k = 0; k < taps; ++k)
      s = fma(broadcast(weight[k]), load(x + index[k] * stride + i, rest), s);
    store(out + i, s, rest);
  }
}

template <class T>
static void blend_rows(const T* x, int64_t stride, const int32_t* index, const Sum<T>* weight,
                       int64_t taps, Sum<T>* out, int64_t n) {
  blend(x, stride, index, weight, taps, out, n);
}

template <class T>
static void blend_pixels(const Sum<T>* x, const int32_t* begin, const int32_t* index,
                         const Sum<T>* weight, int64_t width, int64_t C, T* y) {
  if (C == 1) {  // a depth map: a vector of neighbouring outputs a store
    Acc<T> values[kLanes<T>] = {};
    for (int64_t w = 0; w < width; w += kLanes<T>) {
      const int count = int(width - w < kLanes<T> ? width - w : kLanes<T>);
      for (int i = 0; i < count; ++i) {
        const int32_t first = begin[w + i], end = begin[w + i + 1];
        Acc<T> s = 0;
        if (end - first == 2)  // bilinear enlarging
          s = weight[first] * x[index[first]] + weight[first + 1] * x[index[first + 1]];
        else
          for (int32_t k = first; k < end; ++k) s += weight[k] * x[index[k]];
        values[i] = s;
      }
      store(y + w, load(values), count);
    }
    return;
  }
  for (int64_t w = 0; w < width; ++w)
    blend(x, C, index + begin[w], weight + begin[w], begin[w + 1] - begin[w], y + w * C, C);
}

template <class T>
constexpr ResampleLoops<T> kLoops{.blend_rows = blend_rows<T>, .blend_pixels = blend_pixels<T>};

const ByType<ResampleLoops> resample{kLoops<double>, kLoops<float>, kLoops<F16>, kLoops<Bf16>};

}  // namespace fathom::cpu::FATHOM_ISA
