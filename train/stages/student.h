#pragma once

#include "train/stages/loop.h"

namespace fathom {

/// Trains a model, started anew, on labeled images and on unlabeled ones with the teacher's labels,
/// perturbed, with its features held near those of the encoder it started from: student section of
/// the configuration.
/// Source: Yang et al., "Depth Anything" (2024), sections 3.2 and 3.3.
TrainReport train_student(const TrainConfig& config, const TrainOptions& options);

}  // namespace fathom
