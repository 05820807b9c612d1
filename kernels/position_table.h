#pragma once

#include "core/tensor.h"

namespace fathom {

/// How a stored grid of M x M positions becomes ph x pw. All are bicubic with half-pixel centres.
enum class PositionRule {
  /// Depth Anything V1 and V2, DINOv2 without registers: the scale factor is (ph + 0.1) / M, so
  /// that a step is M / (ph + 0.1) and not M / ph.
  scale_plus_offset,
  /// Current Hugging Face models: a step is M / ph.
  size,
  /// DINOv2 with registers: a step is M / ph, with antialias.
  antialias,
};

/// Interpolates a position table to another patch grid; row 0, the class token's, is kept.
///
/// table: [1 + M * M, D], any float dtype, a row-major M x M grid (M = 37 in DINOv2).
/// Returns [1 + ph * pw, D] of the same dtype; the table itself if ph == pw == M. Weights are
/// rounded to float, as in the reference, whatever the dtype. Differentiable.
/// Throws  Error if the rows are not one more than a square, or ph or pw is below 1.
/// Source: facebookresearch/dinov2 dinov2/models/vision_transformer.py, interpolate_pos_encoding;
/// DepthAnything/Depth-Anything-V2 depth_anything_v2/dinov2.py.
Tensor interpolate_positions(const Tensor& table, int64_t ph, int64_t pw,
                             PositionRule rule = PositionRule::scale_plus_offset);

}  // namespace fathom
