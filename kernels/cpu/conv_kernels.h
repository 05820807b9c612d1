#pragma once

#include "kernels/cpu/gemm_kernels.h"

namespace fathom::cpu {

/// The input of a 3x3 convolution as its rows are copied behind a border of zeros; what would
/// otherwise be passes over memory of their own happens during that copy.
template <class T>
struct ConvInput {
  const T* map;  // [B, height, width, channels]
  int64_t height, width, channels;
  bool relu = false;        // negative values count as 0
  const T* mask = nullptr;  // like map: where mask <= 0 the value counts as 0 (a ReLU's gradient)
  // When height or width differ from those of the convolution, the map is enlarged or reduced to
  // them bilinearly with aligned corners, before relu; without mask.
};

enum class HeadActivation : uint8_t { relu, sigmoid };

/// A 1x1 convolution to one channel behind the convolution: for each pixel
/// y = scale * activation(bias + sum over n of weight[n] * s[n]), s being the epilogue's result,
/// which is not written. Null `y`: no head.
template <class T>
struct ConvHead {
  const T* weight = nullptr;  // [OC]
  const T* bias = nullptr;    // [1]
  HeadActivation activation = HeadActivation::relu;
  double scale = 1;
  T* y = nullptr;  // [B, H, W]
};

/// y[B,H,W,OC] = epilogue(3x3 convolution of x, stride 1, zero padding 1).
template <class T>
struct ConvArgs {
  ConvInput<T> x;
  const T* weight;  // packed: [ceil(OC / 16)] panels of [3][3 IC][16], 3 IC rounded up to a pair
  T* y;             // not used with a head
  int64_t B, H, W, OC;
  Epilogue<T> epilogue;  // rows are pixels; no pre_activation with a head
  ConvHead<T> head;
};

/// dweight[oc,ky,kx,ic] = sum over pixels of dy[p,oc] x[p shifted by (ky-1,kx-1),ic].
template <class T>
struct ConvGradientArgs {
  ConvInput<T> x;
  const T* dy;       // [B,H,W,OC]
  const T* dy_mask;  // like dy, or null: where dy_mask <= 0, dy counts as 0
  int64_t B, H, W, OC;
  Sum<T>* dweight;  // [OC,3,3,IC]
};

template <class T>
struct ConvTable {
  int tile_rows;
  /// Rows [y0, y1), columns [x0, x1) of image b.
  void (*block)(const ConvArgs<T>&, int64_t b, int64_t y0, int64_t y1, int64_t x0, int64_t x1,
                Sum<T>* scratch);
  int64_t (*block_scratch)(const ConvArgs<T>&, int64_t columns);
  /// The part of dweight that rows [r0, r1) of all B * H rows give, for the output channels
  /// [o0, o1) and input channels [i0, i1); overwrites that block of dweight.
  void (*gradient)(const ConvGradientArgs<T>&, int64_t r0, int64_t r1, int64_t o0, int64_t o1,
                   int64_t i0, int64_t i1, Sum<T>* scratch);
  int64_t (*gradient_scratch)(const ConvGradientArgs<T>&, int64_t outputs, int64_t inputs);
};

struct ConvKernels {
  ConvTable<float> f32;
  ConvTable<double> f64;
  ConvTable<Bf16> bf16;
};
FATHOM_ISA_TABLES(ConvKernels, conv_kernels)

}  // namespace fathom::cpu
