#pragma once

#include <cstdint>

namespace fathom {

/// When a value (a loss, a gradient norm) is too far above what came before to be trusted.
struct OutlierOptions {
  double factor = 0;     // an outlier is above factor times the running mean; 0: never
  int64_t after = 100;   // values that must have been seen before one can be an outlier
  double memory = 0.99;  // of the running mean, per value
};

/// What the running mean has seen; all numbers, so that a checkpoint can hold them.
struct RunningMean {
  double sum = 0, weight = 0, count = 0;
};

/// Whether the value is an outlier; the mean learns it either way, an outlier as factor times the
/// mean, so that a lasting change is accepted in time. value must be finite.
bool is_outlier(const OutlierOptions& options, double value, RunningMean& mean);

}  // namespace fathom
