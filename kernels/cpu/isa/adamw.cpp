#include "kernels/cpu/adamw_kernels.h"

namespace fathom::cpu::FATHOM_ISA {

static float root_of(float x) { return __builtin_sqrtf(x); }
static double root_of(double x) { return __builtin_sqrt(x); }

template <class T>
static void update(const AdamwFactors<T>& factors, const T* __restrict__ grad,
                   T* __restrict__ weight, T* __restrict__ m, T* __restrict__ v,
                   T* __restrict__ average, int64_t n) {
  const AdamwFactors<T> f = factors;
  for (int64_t i = 0; i < n; ++i) {
    const T g = f.grad_scale * grad[i];
    m[i] += f.m_rate * (g - m[i]);
    v[i] = f.v_keep * v[i] + f.v_rate * (g * g);
    weight[i] = f.keep * weight[i] - f.rate * (m[i] / (root_of(v[i]) / f.root + f.eps));
  }
  if (!average) return;
  for (int64_t i = 0; i < n; ++i) average[i] += f.average_rate * (weight[i] - average[i]);
}

template <class T>
static double squares(const T* x, int64_t n) {
  constexpr int64_t kSums = 8;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums)
    for (int64_t k = 0; k < kSums; ++k) sums[k] += double(x[i + k]) * double(x[i + k]);
  for (; i < n; ++i) sums[0] += double(x[i]) * double(x[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

const AdamwTable adamw{.f64 = {update<double>, squares<double>},
                       .f32 = {update<float>, squares<float>}};

}  // namespace fathom::cpu::FATHOM_ISA
