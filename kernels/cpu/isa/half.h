#pragma once

// binary16 storage for the hot loops: converted by the CPU (F16C, AVX-512) or, in plain C++, by
// scaling with powers of two.

#include "kernels/cpu/by_type.h"
#include "kernels/cpu/isa/simd.h"

namespace fathom::cpu::FATHOM_ISA {

[[gnu::always_inline]] inline Vec<float> load(const F16* p) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  VecOf<uint16_t, kVectorBytes / 2>::type half;
  __builtin_memcpy(&half, p, sizeof half);
  const Vec<uint32_t> bits = __builtin_convertvector(half, Vec<uint32_t>);
  const Vec<uint32_t> sign = (bits & 0x8000u) << 16, magnitude = (bits & 0x7fffu) << 13;
  // 2^112 moves the exponent's bias from 15 to 127, for subnormals too; infinity and NaN need the
  // largest exponent instead.
  const Vec<float> scaled = bits_as<Vec<float> >(magnitude) * 0x1p112f;
  const Vec<uint32_t> special = magnitude | 0x7f800000u;
  return bits_as<Vec<float> >(
      sign | (magnitude >= 0x0f800000u ? special : bits_as<Vec<uint32_t> >(scaled)));
#endif
}

#if !defined(__F16C__)
/// Rounds to nearest even, as vcvtps2ph does.
[[gnu::always_inline]] inline uint16_t to_half_bits(float value) {
  const uint32_t u = bits_as<uint32_t>(value), sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);  // 65520 and above: infinity
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the value in units of 2^-24
    const float shifted = bits_as<float>(magnitude) + 0.5f;
    return uint16_t(sign | (bits_as<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u;
  return uint16_t(sign | (rounded >> 13));
}
#endif

[[gnu::always_inline]] inline void store(F16* p, Vec<float> v) {
#if defined(__AVX512F__)
  const __m256i half = _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __builtin_memcpy(p, &half, sizeof half);
#elif defined(__F16C__)
  const __m128i half = _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __builtin_memcpy(p, &half, sizeof half);
#else
  for (int i = 0; i < kFloats; ++i) p[i].bits = to_half_bits(v[i]);
#endif
}

[[gnu::always_inline]] inline Vec<float> load(const F16* p, int count) {
  F16 part[kFloats] = {};
  for (int i = 0; i < count; ++i) part[i] = p[i];
  return load(part);
}

[[gnu::always_inline]] inline void store(F16* p, Vec<float> v, int count) {
  F16 part[kFloats];
  store(part, v);
  for (int i = 0; i < count; ++i) p[i] = part[i];
}

}  // namespace fathom::cpu::FATHOM_ISA
