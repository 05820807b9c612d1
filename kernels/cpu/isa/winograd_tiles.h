#pragma once

// The transforms of Winograd's tiles, see winograd_kernels.h.

#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/isa/tile.h"
#include "kernels/cpu/winograd_kernels.h"

namespace fathom::cpu::FATHOM_ISA {

using V = Vec<float>;
constexpr int kOut = kWinogradTile, kIn = kOut + 2, kPoints = kWinogradPoints;
constexpr float kRoot2 = 1.41421356237f, kHalfRoot2 = 0.707106781187f;

// ---- transforms of one axis ---------------------------------------------------------------------

/// B^T d.
[[gnu::always_inline]] inline void transform_input(V (&d)[kIn]) {
  const V a = d[4] - 2.0f * d[2], b = (d[3] - 2.0f * d[1]) * kHalfRoot2;
  const V e = d[4] - 0.5f * d[2], f = (d[3] - 0.5f * d[1]) * kRoot2;
  d[0] = d[0] + (d[4] - 2.5f * d[2]);
  d[5] = d[1] + (d[5] - 2.5f * d[3]);
  d[1] = a + b;
  d[2] = a - b;
  d[3] = e + f;
  d[4] = e - f;
}

/// A^T m, in the first kOut elements.
[[gnu::always_inline]] inline void transform_output(V (&m)[kIn]) {
  const V s = m[1] + m[2], e = (m[1] - m[2]) * kHalfRoot2;
  const V t = m[3] + m[4], f = (m[3] - m[4]) * kRoot2;
  m[0] = m[0] + (s + t);
  m[1] = e + f;
  m[2] = 0.5f * s + 2.0f * t;
  m[3] = (0.5f * e + 2.0f * f) + m[5];
}

/// A dy, from the first kOut elements: the adjoint of transform_output.
[[gnu::always_inline]] inline void transform_gradient(V (&d)[kIn]) {
  const V a = d[0] + 0.5f * d[2], b = (d[1] + 0.5f * d[3]) * kHalfRoot2;
  const V e = d[0] + 2.0f * d[2], f = (d[1] + 2.0f * d[3]) * kRoot2;
  d[5] = d[3];
  d[1] = a + b;
  d[2] = a - b;
  d[3] = e + f;
  d[4] = e - f;
}

/// G^T s, in the first three elements.
[[gnu::always_inline]] inline void transform_weight_gradient(V (&s)[kIn]) {
  const V a = s[1] + s[2], b = s[3] + s[4];
  const V e = s[2] - s[1], f = s[3] - s[4];
  s[0] = s[0] - a * (2 / 3.0f) + b * (1 / 6.0f);
  s[1] = e * (kRoot2 / 3) + f * (kRoot2 / 6);
  s[2] = (b - a) * (1 / 3.0f) + s[5];
}

/// Both axes of the kSize x kSize tile at d, [pixel][stride], channel vectors below `channels`.
/// Point p of channel c goes to to(c) + p * point.
template <int kSize, auto transform, class To>
[[gnu::always_inline]] inline void transform_tile(const float* d, int64_t row, int64_t stride,
                                                  int64_t channels, To to, int64_t point) {
  each_vector<float>(channels, [&](int64_t c, auto... count) {
    V column[kIn], rows[kIn][kIn];
#pragma GCC unroll 6
    for (int j = 0; j < kSize; ++j) {
#pragma GCC unroll 6
      for (int i = 0; i < kSize; ++i) column[i] = load(d + i * row + j * stride + c, count...);
      transform(column);
#pragma GCC unroll 6
      for (int i = 0; i < kIn; ++i) rows[i][j] = column[i];
    }
    float* const out = to(c);
#pragma GCC unroll 6
    for (int i = 0; i < kIn; ++i) {
      transform(rows[i]);
#pragma GCC unroll 6
      for (int j = 0; j < kIn; ++j) store(out + (i * kIn + j) * point, rows[i][j]);
    }
  });
}

}  // namespace fathom::cpu::FATHOM_ISA
