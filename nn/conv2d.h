#pragma once

#include "kernels/conv2d.h"
#include "nn/module.h"

namespace fathom {

/// Convolution of maps [B, H, W, in] with weight [out, k, k, in] (published [out, in, k, k]).
struct Conv2d {
  Tensor weight, bias;  // bias may be absent
  int stride = 1, pad = 0;

  struct Options {
    int kernel = 3, stride = 1, pad = 1;
    bool bias = true;
  };
  Conv2d() = default;
  Conv2d(int64_t in, int64_t out, Options options)
      : weight(empty({out, options.kernel, options.kernel, in})),
        bias(options.bias ? empty({out}) : Tensor()),
        stride(options.stride),
        pad(options.pad) {}

  /// The fused parts of `extra` (ReLUs, residuals, upsampling) apply; stride and pad are the
  /// layer's.
  Tensor operator()(const Tensor& x, Conv2dOptions extra = {}) const {
    extra.stride = stride;
    extra.pad = pad;
    return conv2d(x, weight, bias, extra);
  }
  /// Rearranges the weight for repeated inference; gradients are no longer possible.
  void pack() { weight = pack_conv2d(weight, stride, pad); }
  static void parts(auto& self, auto&& visit) {
    visit("weight", self.weight, AxisOrder::conv);
    visit("bias", self.bias);
  }
};

}  // namespace fathom
