#pragma once

#include "train/stages/loop.h"

namespace fathom {

/// Trains a relative model on labeled images: teacher section of the configuration.
/// Source: Yang et al., "Depth Anything" (2024), section 3.1.
TrainReport train_teacher(const TrainConfig& config, const TrainOptions& options);

}  // namespace fathom
