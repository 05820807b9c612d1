#pragma once

#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm.h"

namespace fathom::cpu {

// 3x3 convolutions with stride 1 and padding 1 of [B,H,W,C] maps; weights are [OC,3,3,IC].
// T is float, double or Bf16. No result depends on the number of threads.

/// Whether a convolution goes through Winograd's transform (winograd.h): in f32, from 16 channels
/// on either side to 65536 pairs of them, unless FATHOM_WINOGRAD=0. Otherwise its products are
/// computed directly.
template <class T>
bool uses_winograd(int64_t OC, int64_t IC);

/// Switches Winograd's transform on or off until the end of the scope; for tests and benchmarks.
/// Affects the whole process. A weight must be used under the scope that it was packed under.
class WinogradScope {
 public:
  explicit WinogradScope(bool on);
  ~WinogradScope();
  WinogradScope(const WinogradScope&) = delete;
  WinogradScope& operator=(const WinogradScope&) = delete;

 private:
  bool previous_;
};

/// Elements of a packed 3x3 weight.
template <class T>
int64_t packed_conv_size(int64_t OC, int64_t IC);

/// forward: the order that conv3x3() reads. input_gradient: the same for the convolution of dy
/// that gives dx, with flipped taps and exchanged channels; its size is packed_conv_size(IC, OC).
enum class ConvUse { forward, input_gradient };
template <class T>
void pack_conv(const T* weight, int64_t OC, int64_t IC, ConvUse use, T* packed);

/// Compute bound: 18 OC IC FLOP a pixel, with Winograd's transform a quarter of them.
template <class T>
void conv3x3(const ConvArgs<T>& args);

/// The gradient of the weight, in accumulation precision. The rows of all images are cut into
/// slices that depend on the shape only; their sums are added in order.
template <class T>
void conv3x3_weight_gradient(const ConvGradientArgs<T>& args);

}  // namespace fathom::cpu
