#pragma once

#include "kernels/conv_transpose2d.h"
#include "nn/module.h"

namespace fathom {

/// Transposed convolution whose kernel equals its stride: every input pixel writes its own
/// stride x stride block. weight [s, s, out, in] (published [in, out, s, s]).
struct ConvTranspose2d {
  Tensor weight, bias;
  int stride = 1;

  ConvTranspose2d() = default;
  ConvTranspose2d(int64_t in, int64_t out, int stride)
      : weight(empty({stride, stride, out, in})), bias(empty({out})), stride(stride) {}

  Tensor operator()(const Tensor& x) const { return conv_transpose2d(x, weight, bias, stride); }
  /// Rearranges the weight for repeated inference; gradients are no longer possible.
  void pack() { weight = pack_conv_transpose2d(weight); }
  static void parts(auto& self, auto&& visit) {
    visit("weight", self.weight, AxisOrder::conv_transpose);
    visit("bias", self.bias);
  }
};

}  // namespace fathom
