// GELU in its erf form, x Phi(x) with the normal distribution function Phi, and its derivative.
#pragma once

#include "core/gpu.h"

namespace fathom::cuda {

/// erfc(a / sqrt(2)) for 0 <= a <= 64, twice the upper tail of the normal distribution: 2^q(a),
/// with the polynomial of kernels/cpu/isa/simd.h, whose error in gelu is 9e-9 before rounding. A
/// third of the instructions of erff, and no branch.
__device__ inline float normal_tails(float a) {
  float q = -1.897525391e-6f;
  q = fmaf(q, a, 2.800206447e-5f);
  q = fmaf(q, a, -1.312075586e-4f);
  q = fmaf(q, a, -2.727376632e-4f);
  q = fmaf(q, a, 7.246327824e-3f);
  q = fmaf(q, a, -5.262828358e-2f);
  q = fmaf(q, a, -4.591618975e-1f);
  q = fmaf(q, a, -1.151111079f);
  return exp2f(q * a);
}

/// Phi(-a) is half the tails, so no sum cancels on either side of 0. A NaN stays a NaN.
__device__ inline float gelu(float x) {
  const float a = fminf(fabsf(x), 64.0f);  // no infinity times zero
  return fmaf(a * -0.5f, normal_tails(a), x < 0.0f ? 0.0f : x);
}

/// Phi(x) + x phi(x) with the density phi.
__device__ inline float gelu_derivative(float x) {
  const float lower = normal_tails(fminf(fabsf(x), 64.0f)) * 0.5f;  // Phi(-|x|)
  const float density = expf(x * x * -0.5f) * 0.398942280401433f;
  return fmaf(x, density, x < 0.0f ? lower : 1.0f - lower);
}

}  // namespace fathom::cuda
