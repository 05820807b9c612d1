#pragma once

#include "core/tensor.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/im2col.h"

namespace fathom {

using cpu::HeadActivation;  // relu, sigmoid

/// Geometry, and what is fused into the same pass over memory.
struct Conv2dOptions {
  int64_t stride = 1, pad = 0;
  bool relu_input = false;                 // convolve relu(x)
  bool relu = false;                       // relu of the result; not together with residuals
  Tensor residual = {}, residual2 = {};    // added to the result
  int64_t upsample_h = 0, upsample_w = 0;  // first resize x to this size, align_corners bilinear
};

/// Two-dimensional convolution (correlation) of maps, zero padding.
///
/// x:      [B, H, W, I]; f64, f32, bf16 or f16.
/// weight: [O, kh, kw, I], or the same from pack_conv2d with the same stride.
/// bias:   [O], or undefined.
/// Returns [B, (H + 2 pad - kh) / stride + 1, (W + 2 pad - kw) / stride + 1, O], H and W being
/// those
///         of the resized x. Differentiable in x, weight, bias and residuals, but not with packed
///         weights. Sums in f32, f64 in f64.
/// Throws  Error if shapes, dtypes or devices do not fit, or if an argument needs a gradient while
///         the weight is packed.
///
/// 3x3 with stride and pad 1 is computed directly, 1x1 as a product, everything else by im2col; on
/// a CUDA device 3x3 too, but with f16 or bf16 and multiples of 16 channels.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options = {});

/// The end of a depth decoder in one pass, without gradients: resize x to H x W (align_corners
/// bilinear), 3x3 convolution to O channels (32 in the models), ReLU, 1x1 convolution to one, then
/// scale * ReLU or scale * sigmoid. The map of H x W x O never exists, on a CUDA device in f16 and
/// bf16 with O = 32 and multiples of 16 for F.
///
/// x [B, h, w, F]; weight1 [O, 3, 3, F], or the same from pack_conv2d, bias1 [O];
/// weight2 [1, 1, 1, O], bias2 [1].
/// Returns [B, H, W].
/// Throws  Error if shapes, dtypes or devices do not fit, or if an argument needs a gradient.
Tensor depth_head(const Tensor& x, int64_t H, int64_t W, const Tensor& weight1, const Tensor& bias1,
                  const Tensor& weight2, const Tensor& bias2, HeadActivation activation,
                  double scale = 1);

/// A weight rearranged once for many convolutions without gradients. f16 stays as it is, and so
/// does a weight of one output channel, whose use is fused, or on a CUDA device.
Tensor pack_conv2d(const Tensor& weight, int64_t stride, int64_t pad);

namespace kernels {  // contiguous tensors; outputs last
/// The convolution with everything that `options` fuse, but on a CUDA device without upsampling.
void conv2d_forward(CpuStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Conv2dOptions& options, Tensor& y);
void conv2d_forward(CudaStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Conv2dOptions& options, Tensor& y);
/// Adjoints of the plain convolution; dweight in the type to compute in. relu_input: it was of
/// relu(x), so dx is zero where x is not positive.
void conv2d_input_gradient(CpuStream, const Im2col& shape, const Tensor& dy, const Tensor& weight,
                           const Tensor& x, bool relu_input, Tensor& dx);
void conv2d_input_gradient(CudaStream, const Im2col& shape, const Tensor& dy, const Tensor& weight,
                           const Tensor& x, bool relu_input, Tensor& dx);
void conv2d_weight_gradient(CpuStream, const Im2col& shape, const Tensor& dy, const Tensor& x,
                            bool relu_input, Tensor& dweight);
void conv2d_weight_gradient(CudaStream, const Im2col& shape, const Tensor& dy, const Tensor& x,
                            bool relu_input, Tensor& dweight);
/// depth_head with x, biases and weight2 contiguous. False, with nothing done, where it is not one
/// kernel: on a CUDA device for f32, for other than 32 hidden channels, or if F is not a multiple
/// of 16. Then its steps have to be taken one by one.
bool depth_head_forward(CpuStream, const Tensor& x, const Tensor& weight1, const Tensor& bias1,
                        const Tensor& weight2, const Tensor& bias2, HeadActivation activation,
                        double scale, Tensor& y);
bool depth_head_forward(CudaStream, const Tensor& x, const Tensor& weight1, const Tensor& bias1,
                        const Tensor& weight2, const Tensor& bias2, HeadActivation activation,
                        double scale, Tensor& y);
}  // namespace kernels

}  // namespace fathom
