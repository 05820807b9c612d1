#pragma once

#include "core/float_map.h"
#include "models/depth_kind.h"
#include "train/eval/metrics.h"
#include "train/eval/protocol.h"

namespace fathom {

/// One image's result, in both modes of reporting.
struct Comparison {
  int64_t pixels = 0;      // that counted
  AffineFit fit;           // in the space of the alignment
  DepthMetrics disparity;  // mode A: metrics on inverse depth
  DepthMetrics depth;      // mode B: metrics on depth
};

/// Throws Error where predictions of that kind cannot be compared so at all.
void check_protocol(DepthKind kind, const EvalProtocol& protocol);

/// Compares a prediction with the true depth.
///
/// prediction: relative (inverse depth, any scale and shift) or metric (metres; in any unit if an
///             alignment removes it); resized to the truth where sizes differ. NaN counts as the
///             nearest, infinity as the farthest value.
/// truth:      [H, W] depth; not finite or not above 0 where it is unknown. In metres, or in any
///             unit if the limits of the protocol say so.
/// Mode B limits aligned predictions to the protocol's depths, mode A their disparity to at least
/// 1 / max_depth_m; where that is infinite, to 1e-3 of the largest true disparity.
/// The KB crop, when asked for, must have been applied to both.
/// Throws  Error if no pixel counts, or if an alignment in depth is asked of a relative prediction.
/// Source: Ranftl et al., "Towards Robust Monocular Depth Estimation" (2020), section 6.
Comparison compare(const MapView& prediction, DepthKind kind, const MapView& truth,
                   const EvalProtocol& protocol);

}  // namespace fathom
