#pragma once

#include <span>
#include <vector>

namespace fathom::bench {

/// The value below which a share q of the samples lies, interpolated between neighbours.
double quantile(std::span<const double> samples, double q);
inline double median(std::span<const double> samples) { return quantile(samples, 0.5); }

/// The probability of a rank sum of b at least as large as the one seen if a and b came from one
/// distribution: small when b is larger. Exact without ties up to 50 samples each, the normal
/// approximation with midranks otherwise.
/// Source: Mann and Whitney, "On a test of whether one of two random variables is stochastically
/// larger than the other" (1947).
double probability_larger(std::span<const double> a, std::span<const double> b);

}  // namespace fathom::bench
