#pragma once

#include "kernels/linear.h"
#include "nn/module.h"

namespace fathom {

/// y = x W^T + b over the last axis. weight [out, in], bias [out].
struct Linear {
  Tensor weight, bias;

  Linear() = default;
  Linear(int64_t in, int64_t out) : weight(empty({out, in})), bias(empty({out})) {}

  Tensor operator()(const Tensor& x) const { return linear(x, weight, bias); }
  /// Rearranges the weight for repeated inference; gradients are no longer possible.
  void pack() { weight = pack_linear(weight); }
  static void parts(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

}  // namespace fathom
