#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "bench/meter.h"
#include "core/tensor.h"

namespace fathom::bench {

/// Work that bench/compare/gpu_baselines.py measures against somebody else's.
struct Contender {
  Work work;
  /// Of the first call: the result, or for a backward pass the gradients one after another; f32,
  /// on the CPU.
  Tensor result;
};

/// Makes the work that a request describes ready and does it once.
///
/// request: "op" (attention, layer_norm_add, conv3x3, bilinear, ssi_loss, decoder, model, train,
///   optimizer), "pass" (forward, backward: the walk over the tape alone, both), "dtype", "inputs"
///   (a list of {"path": raw little-endian f32, "shape", "gradient": whether it is a leaf}), for
///   passes with gradients "dy" (one more of those), and what the op needs: "heads", "size" (height
///   and width), "weights" (a checkpoint).
/// Throws Error naming what is wrong with it.
Contender contender_of(const nlohmann::json& request, const Meter& meter);

}  // namespace fathom::bench
