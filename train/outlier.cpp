#include "train/outlier.h"

namespace fathom {

bool is_outlier(const OutlierOptions& options, double value, RunningMean& mean) {
  if (options.factor <= 0) return false;
  const double limit = mean.weight > 0 ? options.factor * mean.sum / mean.weight : value;
  const bool outlier = mean.count >= double(options.after) && value > limit;
  mean.sum = options.memory * mean.sum + (outlier ? limit : value);
  mean.weight = options.memory * mean.weight + 1;
  mean.count += 1;
  return outlier;
}

}  // namespace fathom
