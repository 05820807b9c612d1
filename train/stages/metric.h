#pragma once

#include "train/stages/loop.h"

namespace fathom {

/// Trains a model of depth in metres, usually from the encoder of a relative one (model.encoder):
/// metric section of the configuration.
/// Source: Yang et al., "Depth Anything V2" (2024), and its code, metric_depth/train.py.
TrainReport train_metric(const TrainConfig& config, const TrainOptions& options);

}  // namespace fathom
