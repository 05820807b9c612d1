#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// What depth_head takes. E is float16 or bfloat16.
template <class E>
struct DepthHead {
  const E* x;            // [B, h, w, F], F a multiple of 16
  const E* weight1;      // [32, 3, 3, F]
  const E* bias1;        // [32]
  const E* weight2;      // [32]
  const E* bias2;        // [1]
  E* y;                  // [B, H, W]
  int64_t B, h, w, F;    // of x
  int64_t H, W;          // of y
  bool sigmoid = false;  // the last activation, ReLU otherwise
  float scale = 1;       // of its result
};
constexpr int64_t kDepthHeadHidden = 32;

/// The end of a depth decoder, the launcher behind fathom::depth_head: x is resized to H x W
/// (align_corners bilinear) and rounded to E, convolved 3x3 to 32 channels, and after a ReLU 1x1 to
/// one; sums in float, rounded once. Neither the resized map nor the hidden one is in memory.
/// Throws Error for other channels.
template <class E>
void depth_head(CUstream_st* stream, const DepthHead<E>& head);

}  // namespace fathom::cuda
