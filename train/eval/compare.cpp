#include "train/eval/compare.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace fathom {

namespace {

// The pixels that count, in row-major order.
struct Samples {
  std::vector<double> truth_m, prediction;
};

Samples gather(const MapView& prediction, const MapView& truth, const EvalProtocol& protocol) {
  const CropBox box = crop_box(protocol.crop, {truth.height, truth.width});
  Samples samples;
  for (int64_t y = box.top; y < box.bottom; ++y)
    for (int64_t x = box.left; x < box.right; ++x) {
      const size_t i = size_t(y * truth.width + x);
      const double z = double(truth.values[i]);
      if (!(z > 0 && std::isfinite(z) && z > protocol.min_depth_m && z < protocol.max_depth_m))
        continue;
      samples.truth_m.push_back(z);
      samples.prediction.push_back(double(prediction.values[i]));
    }
  return samples;
}

// Limits of depth and of disparity that make every ratio and logarithm finite.
struct Limits {
  double near_m, far_m, least_disparity;
};

Limits limits_of(const EvalProtocol& protocol, std::span<const double> truth_m) {
  const double nearest = *std::min_element(truth_m.begin(), truth_m.end());
  Limits limits;
  limits.least_disparity =
      std::isinf(protocol.max_depth_m) ? 1e-3 / nearest : 1 / protocol.max_depth_m;
  limits.far_m = 1 / limits.least_disparity;
  // Without a lower limit a prediction of 0 m would be infinitely wrong in the logarithm.
  limits.near_m = protocol.min_depth_m > 0 ? protocol.min_depth_m : 1e-3 * nearest;
  return limits;
}

// Before an alignment, depth may be in any unit: the limits are what it holds itself.
Limits own_range(std::span<const double> depth, Limits limits) {
  double nearest = std::numeric_limits<double>::infinity(), farthest = 0;
  for (const double z : depth)
    if (std::isfinite(z) && z > 0) nearest = std::min(nearest, z), farthest = std::max(farthest, z);
  if (farthest > 0) limits.near_m = nearest, limits.far_m = farthest;
  return limits;
}

std::vector<double> inverse_of(std::span<const double> values) {
  std::vector<double> inverses;
  for (const double value : values) inverses.push_back(1 / value);
  return inverses;
}

AffineFit fit(Alignment alignment, std::span<const double> prediction,
              std::span<const double> target) {
  switch (alignment) {
    case Alignment::none: return {};
    case Alignment::median: return fit_median(prediction, target);
    case Alignment::least_squares_disparity:
    case Alignment::least_squares_depth: return fit_least_squares(prediction, target);
  }
  fail("unknown alignment ", int(alignment));
}

}  // namespace

void check_protocol(DepthKind kind, const EvalProtocol& protocol) {
  check(kind != DepthKind::unknown, "compare: say whether predictions are relative or metric");
  check(protocol.min_depth_m >= 0 && protocol.max_depth_m > protocol.min_depth_m,
        "evaluation: depth limits must be 0 <= min < max, but are ", protocol.min_depth_m, " and ",
        protocol.max_depth_m);
  check(kind == DepthKind::metric || protocol.alignment != Alignment::least_squares_depth,
        "evaluation: alignment in depth needs predictions of depth, but these are of disparity; "
        "use --align disparity");
}

Comparison compare(const MapView& prediction, DepthKind kind, const MapView& truth,
                   const EvalProtocol& protocol) {
  check_map("compare", prediction);
  check_map("compare", truth);
  check_protocol(kind, protocol);
  const bool metric = kind == DepthKind::metric;
  FloatMap resized;
  MapView matched = prediction;
  if (prediction.height != truth.height || prediction.width != truth.width)
    matched = resized = resize_map(prediction, {truth.height, truth.width}, protocol.resize);

  Samples samples = gather(matched, truth, protocol);
  check(!samples.truth_m.empty(), "no valid pixel: nowhere is the true depth between ",
        protocol.min_depth_m, " and ", protocol.max_depth_m, " m within crop ",
        name_of(protocol.crop));
  const Limits limits = limits_of(protocol, samples.truth_m);
  const std::vector<double> true_disparity = inverse_of(samples.truth_m);

  // Predictions become finite, and move to the space of the alignment.
  const bool in_disparity = !metric || protocol.alignment == Alignment::least_squares_disparity;
  const Limits range =
      protocol.alignment == Alignment::none ? limits : own_range(samples.prediction, limits);
  for (double& p : samples.prediction) {
    if (metric) {
      p = std::isnan(p) ? range.near_m : std::clamp(p, range.near_m, range.far_m);
      if (in_disparity) p = 1 / p;
    } else if (!std::isfinite(p)) {
      p = p > 0 ? 1 / limits.near_m : 0;
    }
  }
  Comparison result;
  result.pixels = int64_t(samples.truth_m.size());
  result.fit = fit(protocol.alignment, samples.prediction,
                   in_disparity ? std::span<const double>(true_disparity) : samples.truth_m);

  std::vector<double> disparity, depth_m;
  for (const double p : samples.prediction) {
    const double aligned = result.fit(p);
    const double q = std::max(in_disparity ? aligned : 1 / std::max(aligned, limits.near_m),
                              limits.least_disparity);
    disparity.push_back(q);
    depth_m.push_back(std::clamp(1 / q, limits.near_m, limits.far_m));
  }
  result.disparity = depth_metrics(true_disparity, disparity);
  result.depth = depth_metrics(samples.truth_m, depth_m);
  return result;
}

}  // namespace fathom
