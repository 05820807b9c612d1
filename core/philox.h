#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

// The one marker of functions that host and device share.
#if defined(__CUDACC__)
#define FATHOM_HOST_DEVICE __host__ __device__
#else
#define FATHOM_HOST_DEVICE
#endif

namespace fathom {

/// Four 32-bit random words.
struct Philox4 {
  uint32_t word[4];
};

/// Philox4x32-10 of a counter of 128 bits and a key of 64.
/// Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011), table 2.
FATHOM_HOST_DEVICE inline Philox4 philox4x32(Philox4 c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * c.word[0], p1 = uint64_t(0xCD9E8D57u) * c.word[2];
    c = {{uint32_t(p1 >> 32) ^ c.word[1] ^ k0, uint32_t(p1), uint32_t(p0 >> 32) ^ c.word[3] ^ k1,
          uint32_t(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// The words number `counter` of the stream `key`. A pure function, so every element of a tensor
/// can be drawn on its own, on any device.
FATHOM_HOST_DEVICE inline Philox4 philox(uint64_t key, uint64_t counter) {
  return philox4x32({{uint32_t(counter), uint32_t(counter >> 32), 0, 0}}, uint32_t(key),
                    uint32_t(key >> 32));
}

/// Uniform in [0, 1) with 24 bits.
FATHOM_HOST_DEVICE inline float uniform_from(uint32_t word) { return float(word >> 8) * 0x1p-24f; }

/// Uniform in [low, high): the rare value that rounds up to high wraps to low.
FATHOM_HOST_DEVICE inline float uniform_between(uint32_t word, float low, float high) {
  const float x = fmaf(uniform_from(word), high - low, low);
  return x < high ? x : low;
}

/// Two standard normal values from two words (Box and Muller, 1958). Logarithm and sine are
/// polynomials of explicit fused multiply-adds, so that CPU and GPU give the same bits.
FATHOM_HOST_DEVICE inline void normals_from(uint32_t a, uint32_t b, float* first, float* second) {
  // log(u), u in (0, 1]: u = 2^e * m with m in [sqrt(1/2), sqrt(2)); log(m) = 2 atanh(s),
  // s = (m - 1) / (m + 1), |s| < 0.1716, whose series is cut at s^9 (error below 3e-9).
  const float u = float((a >> 8) + 1u) * 0x1p-24f;
  uint32_t bits;
  memcpy(&bits, &u, 4);
  const uint32_t shifted = bits - 0x3f3504f3u;  // sqrt(1/2)
  const int exponent = int(shifted) >> 23;
  bits = (shifted & 0x7fffffu) + 0x3f3504f3u;
  float m;
  memcpy(&m, &bits, 4);
  const float s = (m - 1.0f) / (m + 1.0f), q = s * s;
  float series = fmaf(q, 2.0f / 9.0f, 2.0f / 7.0f);
  series = fmaf(q, series, 2.0f / 5.0f);
  series = fmaf(q, series, 2.0f / 3.0f);
  series = fmaf(q, series, 2.0f);
  const float log_u = fmaf(float(exponent), 0.693147180559945f, s * series);
  const float radius = sqrtf(-2.0f * log_u);

  // sin and cos of 2 pi v: v = quadrant / 4 + r with r in [-1/8, 1/8), then Taylor in (2 pi r).
  const float v = float(b >> 8) * 0x1p-24f;
  const int quadrant = int(fmaf(v, 4.0f, 0.5f));
  const float t = fmaf(float(quadrant), -0.25f, v) * 6.283185307179586f, t2 = t * t;
  float sine = fmaf(t2, 2.7557319e-6f, -1.9841270e-4f);
  sine = fmaf(t2, sine, 8.3333333e-3f);
  sine = fmaf(t2, sine, -1.6666667e-1f);
  sine = fmaf(t * t2, sine, t);
  float cosine = fmaf(t2, 2.4801587e-5f, -1.3888889e-3f);
  cosine = fmaf(t2, cosine, 4.1666667e-2f);
  cosine = fmaf(t2, cosine, -0.5f);
  cosine = fmaf(t2, cosine, 1.0f);
  const bool swap = quadrant & 1;
  const float c = swap ? sine : cosine, d = swap ? cosine : sine;
  *first = radius * ((quadrant == 1 || quadrant == 2) ? -c : c);
  *second = radius * ((quadrant == 2 || quadrant == 3) ? -d : d);
}

}  // namespace fathom
