#pragma once

#include "kernels/layer_norm.h"
#include "nn/module.h"

namespace fathom {

/// Normalises the last axis, eps 1e-6 as DINOv2 has it. weight, bias [C].
struct LayerNorm {
  Tensor weight, bias;

  LayerNorm() = default;
  explicit LayerNorm(int64_t channels) : weight(empty({channels})), bias(empty({channels})) {}

  /// x [..., C], or [B, T, C] without the first `skip` rows of every image.
  Tensor operator()(const Tensor& x, int64_t skip = 0) const {
    return layer_norm(x, weight, bias, 1e-6, skip);
  }
  static void parts(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

}  // namespace fathom
