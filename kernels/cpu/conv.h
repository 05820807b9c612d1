#pragma once

#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm.h"

namespace fathom::cpu {

// 3x3 convolutions with stride 1 and padding 1 of [B,H,W,C] maps; weights are [OC,3,3,IC].
// T is float, double or Bf16. No result depends on the number of threads.

/// Elements of a packed 3x3 weight.
template <class T>
int64_t packed_conv_size(int64_t OC, int64_t IC);

/// forward: the order that conv3x3() reads. input_gradient: the same for the convolution of dy
/// that gives dx, with flipped taps and exchanged channels; its size is packed_conv_size(IC, OC).
enum class ConvUse { forward, input_gradient };
template <class T>
void pack_conv(const T* weight, int64_t OC, int64_t IC, ConvUse use, T* packed);
/// The inverse of the forward packing.
template <class T>
void unpack_conv(const T* packed, int64_t OC, int64_t IC, T* weight);

/// Compute bound: 18 OC IC FLOP a pixel.
template <class T>
void conv3x3(const ConvArgs<T>& args);

/// The gradient of the weight, in accumulation precision. The rows of all images are cut into
/// slices that depend on the shape only; their sums are added in order.
template <class T>
void conv3x3_weight_gradient(const ConvGradientArgs<T>& args);

}  // namespace fathom::cpu
