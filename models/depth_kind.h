#pragma once

namespace fathom {

/// What a model's output means.
enum class DepthKind {
  unknown,   // only while a checkpoint is being described
  relative,  // inverse depth up to an unknown scale and shift: no unit, larger is nearer
  metric,    // depth in metres, larger is farther, at most max_depth_m
};

}  // namespace fathom
