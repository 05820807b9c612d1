#include "train/stages/loss_options.h"

namespace fathom {

DepthLossOptions depth_loss_options(const LossSection& section) {
  SsiOptions ssi{.trim = section.trim,
                 .gradient_weight = section.gradient_weight,
                 .gradients = {.levels = int(section.gradient_levels)},
                 .limits = {.least_count = section.min_valid}};
  const bool squares = section.kind == "least_squares";
  if (squares) ssi.alignment = SsiAlignment::least_squares;
  ssi.error = section.trim > 0 ? SsiError::trimmed_quantile
              : squares        ? SsiError::half_mean_squared
                               : SsiError::mean_absolute;
  return {.ssi = ssi,
          .mean = section.batch_mean == "pixels" ? BatchMean::pixels : BatchMean::images};
}

}  // namespace fathom
