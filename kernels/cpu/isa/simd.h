#pragma once

// Vectors as wide as the instruction set that this file is compiled for, as values with operators
// (GCC vector extensions): a * b + c becomes one FMA, x < y ? x : y a minimum or a blend.
// Only for the sources in this folder; everything is in the namespace of one instruction set.

#include <cstdint>

#include "kernels/cpu/by_type.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace fathom::cpu::FATHOM_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

/// Does this set multiply pairs of bf16 with f32 accumulation (vdpbf16ps)?
#if defined(__AVX512BF16__)
constexpr bool kHasBf16Dot = true;
#else
constexpr bool kHasBf16Dot = false;
#endif

template <class T, int kBytes = kVectorBytes>
struct VecOf {
  typedef T type __attribute__((vector_size(kBytes)));
};
/// A vector register of T: float, double or an integer type.
template <class T>
using Vec = typename VecOf<T>::type;

/// The type that a stored type is computed in: double for double, float for every other.
template <class T>
using Acc = cpu::Sum<T>;

/// Values that one register holds once they are in the type to compute in.
template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(Acc<T>));

constexpr int kFloats = kLanes<float>;

// ---- bits -----------------------------------------------------------------------------------

template <class To, class From>
[[gnu::always_inline]] inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

[[gnu::always_inline]] inline float to_float(Bf16 value) {
  return bits_as<float>(uint32_t(value.bits) << 16);
}
[[gnu::always_inline]] inline float to_float(float value) { return value; }

// ---- load and store -------------------------------------------------------------------------

template <class A>
[[gnu::always_inline]] inline Vec<A> broadcast(A value) {
  return value - Vec<A>{};  // not +: x - 0 is x even for -0, so this is a plain broadcast
}

[[gnu::always_inline]] inline Vec<float> load(const float* p) {
  Vec<float> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] inline Vec<double> load(const double* p) {
  Vec<double> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] inline Vec<float> load(const Bf16* p) {
#if defined(__AVX512F__)  // the conversion below becomes two halves and an insertion in GCC 12
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
#else
  VecOf<uint16_t, kVectorBytes / 2>::type half;
  __builtin_memcpy(&half, p, sizeof half);
  return bits_as<Vec<float>>(__builtin_convertvector(half, Vec<uint32_t>) << 16);
#endif
}

[[gnu::always_inline]] inline void store(float* p, Vec<float> v) {
  __builtin_memcpy(p, &v, sizeof v);
}
[[gnu::always_inline]] inline void store(double* p, Vec<double> v) {
  __builtin_memcpy(p, &v, sizeof v);
}
/// Rounds to nearest even; a NaN stays a NaN. vcvtneps2bf16 turns subnormals into zero.
[[gnu::always_inline]] inline void store(Bf16* p, Vec<float> v) {
#if defined(__AVX512BF16__)
  const __m256bh half = _mm512_cvtneps_pbh(v);
  __builtin_memcpy(p, &half, sizeof half);
#else
  const Vec<uint32_t> u = bits_as<Vec<uint32_t>>(v);
  const Vec<uint32_t> rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const Vec<uint32_t> bits = v == v ? rounded : (u >> 16) | 0x40u;
  const auto half = __builtin_convertvector(bits, VecOf<uint16_t, kVectorBytes / 2>::type);
  __builtin_memcpy(p, &half, sizeof half);
#endif
}

/// The first `count` values, 0 to kLanes<T>; the other lanes are zero and their memory is not read.
template <class T>
[[gnu::always_inline]] inline Vec<Acc<T>> load(const T* p, int count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_maskz_loadu_ps(__mmask16((1u << count) - 1u), p);
  } else if constexpr (sizeof(T) == 8) {
    return _mm512_maskz_loadu_pd(__mmask8((1u << count) - 1u), p);
  } else {
    const __m256i half = _mm256_maskz_loadu_epi16(__mmask16((1u << count) - 1u), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
#else
  T part[kLanes<T>] = {};
  for (int i = 0; i < count; ++i) part[i] = p[i];
  return load(part);
#endif
}

/// Writes the first `count` lanes, 0 to kLanes<T>, and no other memory.
template <class T>
[[gnu::always_inline]] inline void store(T* p, Vec<Acc<T>> v, int count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(p, __mmask16((1u << count) - 1u), v);
    return;
  } else if constexpr (sizeof(T) == 8) {
    _mm512_mask_storeu_pd(p, __mmask8((1u << count) - 1u), v);
    return;
  }
#endif
  T part[kLanes<T>];
  store(part, v);
  for (int i = 0; i < count; ++i) p[i] = part[i];
}

// ---- arithmetic -----------------------------------------------------------------------------

template <class V>
[[gnu::always_inline]] inline V fma(V a, V b, V c) {
  return a * b + c;  // one rounding where the set has FMA: these files contract
}
/// The larger; a NaN in `a` is returned, so a NaN in the data survives max(data, constant).
template <class V>
[[gnu::always_inline]] inline V max(V a, V b) {
  return a < b ? b : a;
}
template <class V>
[[gnu::always_inline]] inline V min(V a, V b) {
  return b < a ? b : a;
}
template <class V>
[[gnu::always_inline]] inline V relu(V a) {
  return a < V{} ? V{} : a;
}
[[gnu::always_inline]] inline Vec<float> abs(Vec<float> v) {
  return bits_as<Vec<float>>(bits_as<Vec<uint32_t>>(v) & 0x7fffffffu);
}
[[gnu::always_inline]] inline Vec<double> abs(Vec<double> v) {
  return bits_as<Vec<double>>(bits_as<Vec<uint64_t>>(v) & 0x7fffffffffffffffu);
}

/// The sum of all lanes, by halves: a fixed order.
template <class V>
[[gnu::always_inline]] inline auto sum(V v) {
  constexpr int n = sizeof(V) / sizeof(v[0]);
  for (int half = n / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) v[i] += v[i + half];
  return v[0] + 0;
}
template <class V>
[[gnu::always_inline]] inline auto max_lane(V v) {
  constexpr int n = sizeof(V) / sizeof(v[0]);
  for (int half = n / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) v[i] = v[i] < v[i + half] ? v[i + half] : v[i];
  return v[0] + 0;
}

// ---- elementary functions -------------------------------------------------------------------
// f32: polynomials. f64 serves the gradient tests: the C library, lane by lane, exact to an ulp.

[[gnu::always_inline]] inline Vec<float> round_to_even(Vec<float> v) {
#if defined(__AVX512F__)
  return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  // Adding 1.5 * 2^23 pushes the fraction out of the mantissa; for |v| < 2^22.
  const Vec<float> magic = broadcast(12582912.0f);
  return (v + magic) - magic;
#endif
}

/// p * 2^n for integral n in [-252, 252]; subnormal and infinite results included.
[[gnu::always_inline]] inline Vec<float> scale_by_power_of_two(Vec<float> p, Vec<float> n) {
#if defined(__AVX512F__)
  return _mm512_scalef_ps(p, n);
#else
  // Two steps: 2^n alone may be out of range while p * 2^n is not.
  const auto whole = __builtin_convertvector(n, Vec<int32_t>);
  const Vec<int32_t> half = whole >> 1;
  const auto power = [](Vec<int32_t> e) { return bits_as<Vec<float>>((e + 127) << 23); };
  return p * power(half) * power(whole - half);
#endif
}

/// e^r for |r| <= ln(2) / 2: 1 + r p(r), p interpolating (e^r - 1) / r in the six Chebyshev nodes
/// of the interval. Relative error 1.1e-8 before rounding.
[[gnu::always_inline]] inline Vec<float> exp_reduced(Vec<float> r) {
  Vec<float> p = broadcast(1.3933641032e-3f);
  p = fma(p, r, broadcast(8.36914848e-3f));
  p = fma(p, r, broadcast(4.1666465006e-2f));
  p = fma(p, r, broadcast(1.66665052604e-1f));
  p = fma(p, r, broadcast(5.00000001346e-1f));
  p = fma(p, r, broadcast(1.0f));
  return fma(p, r, broadcast(1.0f));
}

/// 2^x, within 2 ulp. 2^-inf is 0, so masked scores may be -inf.
[[gnu::always_inline]] inline Vec<float> exp2(Vec<float> x) {
  x = min(max(x, broadcast(-151.0f)), broadcast(129.0f));
  const Vec<float> n = round_to_even(x);
  return scale_by_power_of_two(exp_reduced((x - n) * 0.693147180559945f), n);
}

/// e^x, within 2 ulp. ln(2) is subtracted in two parts, the first exact in 12 bits times n.
[[gnu::always_inline]] inline Vec<float> exp(Vec<float> x) {
  x = min(max(x, broadcast(-105.0f)), broadcast(89.0f));
  const Vec<float> n = round_to_even(x * 1.44269504088896f);
  const Vec<float> r = fma(n, broadcast(2.12194440e-4f), fma(n, broadcast(-0.693359375f), x));
  return scale_by_power_of_two(exp_reduced(r), n);
}

/// erfc(a / sqrt(2)) for a >= 0, twice the upper tail of the normal distribution: 2^q(a), at least
/// 2^-126. q is the polynomial of degree 8 without constant term that fits log2(erfc(a / sqrt(2)))
/// on [0, 6] with the least largest error of a q'(a) 2^q(a), the error of gelu (9e-9 before
/// rounding; by Lawson's iteration in 30 digits). Its leading coefficient is negative: small for
/// large a. Both polynomials go by pairs, not by Horner's rule: what limits a loop over gelu is the
/// length of one chain of operations, of which only a few fit the core's window at a time.
[[gnu::always_inline]] inline Vec<float> normal_tails(Vec<float> a) {
  a = min(a, broadcast(64.0f));
  const Vec<float> a2 = a * a;
  const Vec<float> q1 = fma(broadcast(-4.591618975e-1f), a, broadcast(-1.151111079f));
  const Vec<float> q3 = fma(broadcast(7.246327824e-3f), a, broadcast(-5.262828358e-2f));
  const Vec<float> q5 = fma(broadcast(-1.312075586e-4f), a, broadcast(-2.727376632e-4f));
  const Vec<float> q7 = fma(broadcast(-1.897525391e-6f), a, broadcast(2.800206447e-5f));
  const Vec<float> q = a * fma(fma(q7, a2, q5), a2 * a2, fma(q3, a2, q1));
  // 2^q as exp_reduced, times 2^n, which is normal.
  const Vec<float> bounded = max(q, broadcast(-126.0f)), n = round_to_even(bounded);
  const Vec<float> r = (bounded - n) * 0.693147180559945f, r2 = r * r;
  const Vec<float> p0 = fma(broadcast(5.00000001346e-1f), r, broadcast(1.0f));
  const Vec<float> p2 = fma(broadcast(4.1666465006e-2f), r, broadcast(1.66665052604e-1f));
  const Vec<float> p4 = fma(broadcast(1.3933641032e-3f), r, broadcast(8.36914848e-3f));
  const Vec<float> p = fma(fma(fma(p4, r2, p2), r2, p0), r, broadcast(1.0f));
  const auto exponent = __builtin_convertvector(n, Vec<int32_t>) << 23;
  return bits_as<Vec<float>>(bits_as<Vec<int32_t>>(p) + exponent);
}

/// erf(x), absolute error below 2.1e-7, erf(0) = 0; not meant for small relative errors near 0.
[[gnu::always_inline]] inline Vec<float> erf(Vec<float> x) {
  const Vec<float> magnitude = 1.0f - normal_tails(abs(x) * 1.41421356237310f);
  return x < Vec<float>{} ? -magnitude : magnitude;
}

[[gnu::always_inline]] inline Vec<double> exp(Vec<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_exp(x[i]);
  return x;
}
[[gnu::always_inline]] inline Vec<double> exp2(Vec<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_exp2(x[i]);
  return x;
}
[[gnu::always_inline]] inline Vec<double> erf(Vec<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_erf(x[i]);
  return x;
}

/// x Phi(x) with the normal distribution function Phi: the erf form of GELU. f32: error below 2
/// epsilon of the value for x > 0, below 5.1e-8 for x < 0. Source: Hendrycks and Gimpel, "Gaussian
/// Error Linear Units" (2016).
[[gnu::always_inline]] inline Vec<float> gelu(Vec<float> x) {
  // Phi(-a) = tails / 2, so no sum cancels on either side. Bounded, for the tails are never 0.
  const Vec<float> a = min(abs(x), broadcast(64.0f));
  return fma(a * -0.5f, normal_tails(a), relu(x));
}
[[gnu::always_inline]] inline Vec<double> gelu(Vec<double> x) {
  return x * (0.5 + 0.5 * erf(x * 0.707106781186547524));
}

/// Phi(x) + x phi(x), the derivative of gelu, with the density phi.
[[gnu::always_inline]] inline Vec<float> gelu_derivative(Vec<float> x) {
  const Vec<float> lower = normal_tails(abs(x)) * 0.5f;  // Phi(-|x|)
  const Vec<float> density = exp(x * x * -0.5f) * 0.398942280401433f;
  return fma(x, density, x < Vec<float>{} ? lower : 1.0f - lower);
}
[[gnu::always_inline]] inline Vec<double> gelu_derivative(Vec<double> x) {
  const Vec<double> density = exp(x * x * -0.5) * 0.398942280401432678;
  return fma(x, density, 0.5 + 0.5 * erf(x * 0.707106781186547524));
}

}  // namespace fathom::cpu::FATHOM_ISA
