#pragma once

#include <cstdint>
#include <span>

namespace fathom {

/// How far a prediction is from the truth, over one image. The same formulas serve depth (mode B)
/// and disparity (mode A); units of rmse and sq_rel are those of the values.
struct DepthMetrics {
  double abs_rel = 0;                         // mean |z - z^| / z
  double sq_rel = 0;                          // mean (z - z^)^2 / z
  double rmse = 0;                            // sqrt mean (z - z^)^2
  double rmse_log = 0;                        // sqrt mean (ln z - ln z^)^2
  double log10 = 0;                           // mean |log10 z - log10 z^|
  double silog = 0;                           // 100 * the standard deviation of ln z^ - ln z
  double delta1 = 0, delta2 = 0, delta3 = 0;  // share with max(z / z^, z^ / z) < 1.25^k
  bool operator==(const DepthMetrics&) const = default;
};

/// Computed in double. Both spans hold positive finite numbers, at least one pair.
/// Throws  Error otherwise, naming the first value that is not.
/// Source: Bhat et al., "ZoeDepth" (2023), compute_errors, which Depth Anything uses.
DepthMetrics depth_metrics(std::span<const double> truth, std::span<const double> prediction);

/// The metrics in a fixed order with the names under which reports store them, so that averaging,
/// printing and storing share one list. `self` may be const.
void visit_metrics(auto& self, auto&& visit) {
  visit("abs_rel", self.abs_rel);
  visit("sq_rel", self.sq_rel);
  visit("rmse", self.rmse);
  visit("rmse_log", self.rmse_log);
  visit("log10", self.log10);
  visit("silog", self.silog);
  visit("delta1", self.delta1);
  visit("delta2", self.delta2);
  visit("delta3", self.delta3);
}

/// The mean over images of per-image metrics: every image counts the same, whatever its pixels.
DepthMetrics mean_of(std::span<const DepthMetrics> images);

}  // namespace fathom
