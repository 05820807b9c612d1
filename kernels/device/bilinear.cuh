// Where a bilinear resize reads its input.
#pragma once

#include "core/gpu.h"

namespace fathom::cuda {

/// Where an output pixel samples the input, along one axis.
struct Axis {
  float scale, shift;  // position = scale * (i + shift) - shift

  static Axis between(int64_t from, int64_t to, bool align_corners) {
    if (!align_corners) return {static_cast<float>(from) / static_cast<float>(to), 0.5f};
    return {to > 1 ? static_cast<float>(from - 1) / static_cast<float>(to - 1) : 0.0f, 0.0f};
  }
};

struct Taps {
  int first, second;
  float weight;  // of the second
};

__device__ inline Taps taps(Axis axis, int i, int size) {
  const float at = fmaxf(axis.scale * (static_cast<float>(i) + axis.shift) - axis.shift, 0.0f);
  const int first = min(static_cast<int>(at), size - 1);
  return {first, min(first + 1, size - 1), at - static_cast<float>(first)};
}

/// An exact hit is a copy, even beside an infinity.
__device__ inline float blend(float first, float second, float weight) {
  return weight == 0.0f ? first : first * (1.0f - weight) + second * weight;
}

}  // namespace fathom::cuda
