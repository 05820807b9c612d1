#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// What conv3x3_forward takes in one pass. E is float16 or bfloat16.
template <class E>
struct Conv3x3 {
  const E* x;                   // [B, H, W, I]
  const E* weight;              // [O, 3, 3, I]
  const E* bias = nullptr;      // [O]
  const E* residual = nullptr;  // [B, H, W, O], and another
  const E* residual2 = nullptr;
  E* y;                   // [B, H, W, O]
  int64_t B, H, W, I, O;  // I and O multiples of 16
  bool relu = false;      // of the result, before residuals
};

/// A 3x3 convolution with stride 1 and one pixel of zeros around: y = weight * x + bias, products
/// in E, sums in float. Throws Error for other channels.
template <class E>
void conv3x3_forward(CUstream_st* stream, const Conv3x3<E>& conv);

/// flipped [I, 3, 3, O] from weight [O, 3, 3, I]: the weight whose convolution is the adjoint,
/// which takes dy to dx.
template <class E>
void conv3x3_flip(CUstream_st* stream, const E* weight, E* flipped, int64_t O, int64_t I);

}  // namespace fathom::cuda
