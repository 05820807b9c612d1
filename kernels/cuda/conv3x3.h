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
  E* y;                     // [B, H, W, O]
  const E* mask = nullptr;  // [B, H, W, O]: the result is zero where this is not positive
  int64_t B, H, W, I, O;    // I and O multiples of 16
  bool relu_input = false;  // convolve relu(x)
  bool relu = false;        // of the result, before residuals
};

/// A 3x3 convolution with stride 1 and one pixel of zeros around: y = weight * x + bias, products
/// in E, sums in float. With a mask and the flipped weight it is the gradient of the input of a
/// convolution of relu(mask). Throws Error for other channels.
template <class E>
void conv3x3_forward(CUstream_st* stream, const Conv3x3<E>& conv);

/// flipped [I, 3, 3, O] from weight [O, 3, 3, I]: the weight whose convolution is the adjoint,
/// which takes dy to dx.
template <class E>
void conv3x3_flip(CUstream_st* stream, const E* weight, E* flipped, int64_t O, int64_t I);

/// What conv3x3_weight_gradient takes. E is float16 or bfloat16.
template <class E>
struct Conv3x3WeightGradient {
  const E* x;               // [B, H, W, I]
  const E* dy;              // [B, H, W, O]
  float* dweight;           // [O, 3, 3, I]
  float* workspace;         // [slices, O, 3, 3, I], or null if there is one slice only
  int64_t B, H, W, I, O;    // I and O multiples of 16
  bool relu_input = false;  // the convolution was of relu(x)
};

/// The gradient of the weight of conv3x3_forward, products in E, sums in float: over a fixed number
/// of slices of the map, whose sums are added in their order. Throws Error for other channels.
template <class E>
void conv3x3_weight_gradient(CUstream_st* stream, const Conv3x3WeightGradient<E>& conv);
int64_t conv3x3_weight_gradient_slices(int64_t B, int64_t H, int64_t W, int64_t I, int64_t O);

}  // namespace fathom::cuda
