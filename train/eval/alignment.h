#pragma once

#include <span>
#include <string>

namespace fathom {

/// What is fitted, image by image, before predictions are compared.
enum class Alignment {
  none,
  median,                   // a scale: median of the truth over median of the prediction
  least_squares_disparity,  // scale and shift of inverse depth: MiDaS, Depth Anything
  least_squares_depth,      // scale and shift of depth: Marigold
};

/// "none", "median", "disparity" (least squares) or "depth" (least squares); throws Error listing
/// them.
Alignment alignment_of(const std::string& name);
std::string name_of(Alignment alignment);

/// aligned = scale * prediction + shift
struct AffineFit {
  double scale = 1, shift = 0;
  double operator()(double prediction) const { return scale * prediction + shift; }
  bool operator==(const AffineFit&) const = default;
};

/// The scale and shift that minimise sum (scale * prediction + shift - target)^2. A prediction
/// without variance gets 0 and 0, as in the code of MiDaS. Centred, in double.
AffineFit fit_least_squares(std::span<const double> prediction, std::span<const double> target);

/// The scale that makes the medians equal; 0 where the prediction's median is not positive. Of an
/// even count the median is the mean of the two middle values, as NumPy's.
AffineFit fit_median(std::span<const double> prediction, std::span<const double> target);

}  // namespace fathom
