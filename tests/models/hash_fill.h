#pragma once

#include <cstdint>
#include <string_view>

#include "models/depth_anything.h"

namespace fathom {

// Weights and inputs that are a pure function of a tensor's name, so that a golden test needs no
// file: the reference outputs were computed once by the official code with the same fill.

/// Element j of the stream of `name`, uniform in [-1, 1).
double hash_value(std::string_view name, uint64_t j);

/// Fills every parameter. `tail_bias` is added to the last bias (4 in the relative tests, which
/// keeps the last ReLU open, 0 in the metric one).
void fill_with_hash(DepthAnything& model, double tail_bias);

/// [1, H, W, 3] with element j of the published order [1, 3, H, W] set to 2 * hash_value("input",
/// j).
Tensor hash_input(int64_t H, int64_t W, DType dtype = DType::f32);

/// hash_value("loss", j) in row-major order: weights that make a scalar loss of a depth map.
Tensor hash_loss_weights(const Shape& shape);

}  // namespace fathom
