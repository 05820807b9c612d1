#include "kernels/cpu/layer_norm_kernels.h"

#include "kernels/cpu/isa/half.h"
#include "kernels/cpu/isa/simd.h"

namespace fathom::cpu::FATHOM_ISA {

// The sum over c of f(c, count): four accumulators hide the latency of the additions. f returns the
// terms of the lanes from c on; only `count` of them exist, the others must be zero.
template <class T, class F>
[[gnu::always_inline]] inline Acc<T> row_sum(int64_t C, F f) {
  constexpr int kStep = kLanes<T>;
  using V = Vec<Acc<T>>;
  V s0{}, s1{}, s2{}, s3{};
  int64_t c = 0;
  for (; c + 4 * kStep <= C; c += 4 * kStep) {
    s0 += f(c, kStep);
    s1 += f(c + kStep, kStep);
    s2 += f(c + 2 * kStep, kStep);
    s3 += f(c + 3 * kStep, kStep);
  }
  for (; c + kStep <= C; c += kStep) s0 += f(c, kStep);
  if (c < C) s1 += f(c, int(C - c));
  return sum((s0 + s1) + (s2 + s3));
}

// Loads whole vectors where they exist, which spares the mask.
template <class T>
[[gnu::always_inline]] inline Vec<Acc<T>> load_up_to(const T* p, int count) {
  return count == kLanes<T> ? load(p) : load(p, count);
}
template <class T>
[[gnu::always_inline]] inline void store_up_to(T* p, Vec<Acc<T>> v, int count) {
  if (count == kLanes<T>)
    store(p, v);
  else
    store(p, v, count);
}

template <class T>
[[gnu::always_inline]] inline Vec<Acc<T>> first_lanes(Vec<Acc<T>> v, int count) {
  if (count == kLanes<T>) return v;
  for (int i = 0; i < kLanes<T>; ++i) v[i] = i < count ? v[i] : Acc<T>(0);
  return v;
}

template <class T>
static void forward(const T* x, const T* weight, const T* bias, double eps, T* y, Sum<T>* mean,
                    Sum<T>* rstd, int64_t rows, int64_t C) {
  using A = Acc<T>;
  for (int64_t n = 0; n < rows; ++n, x += C, y += C) {
    const A mu =
        row_sum<T>(C, [&](int64_t c, int count) { return load_up_to(x + c, count); }) / A(C);
    const A variance = row_sum<T>(C,
                                  [&](int64_t c, int count) {
                                    const Vec<A> d =
                                        first_lanes<T>(load_up_to(x + c, count) - mu, count);
                                    return d * d;
                                  }) /
                       A(C);
    const A r = 1 / A(__builtin_sqrt(double(variance) + eps));
    for (int64_t c = 0; c < C; c += kLanes<T>) {
      const int count = int(C - c < kLanes<T> ? C - c : kLanes<T>);
      const Vec<A> normal = (load_up_to(x + c, count) - mu) * r;
      store_up_to(y + c, fma(normal, load_up_to(weight + c, count), load_up_to(bias + c, count)),
                  count);
    }
    if (mean) mean[n] = mu, rstd[n] = r;
  }
}

// With g = weight * dy and h = (x - mean) * rstd: dx = rstd * (g - mean(g) - h * mean(g h)).
template <class T>
static void backward(const T* x, const T* weight, const Sum<T>* mean, const Sum<T>* rstd,
                     const T* dy, T* dx, Sum<T>* dweight, Sum<T>* dbias, int64_t rows, int64_t C) {
  using A = Acc<T>;
  for (int64_t c = 0; c < C; ++c) dweight[c] = dbias[c] = 0;
  for (int64_t n = 0; n < rows; ++n, x += C, dy += C, dx += C) {
    const A mu = mean[n], r = rstd[n];
    A sum_gh = 0;
    // g h is zero in lanes that do not exist because g is.
    const A sum_g = row_sum<T>(C, [&](int64_t c, int count) {
      return load_up_to(dy + c, count) * load_up_to(weight + c, count);
    });
    sum_gh = row_sum<T>(C,
                        [&](int64_t c, int count) {
                          const Vec<A> g =
                              load_up_to(dy + c, count) * load_up_to(weight + c, count);
                          return g * (load_up_to(x + c, count) - mu);
                        }) *
             r;
    const A mean_g = sum_g / A(C), mean_gh = sum_gh / A(C);
    for (int64_t c = 0; c < C; c += kLanes<T>) {
      const int count = int(C - c < kLanes<T> ? C - c : kLanes<T>);
      const Vec<A> d = load_up_to(dy + c, count), h = (load_up_to(x + c, count) - mu) * r;
      const Vec<A> g = d * load_up_to(weight + c, count);
      store_up_to(dx + c, (g - mean_g - h * mean_gh) * r, count);
      store_up_to(dweight + c, fma(d, h, load_up_to(dweight + c, count)), count);
      store_up_to(dbias + c, load_up_to(dbias + c, count) + d, count);
    }
  }
}

template <class T>
constexpr LayerNormLoops<T> kLoops{.forward = forward<T>, .backward = backward<T>};

const ByType<LayerNormLoops> layer_norm{kLoops<double>, kLoops<float>, kLoops<F16>, kLoops<Bf16>};

}  // namespace fathom::cpu::FATHOM_ISA
