#pragma once

#include "train/config.h"

namespace fathom {

/// The network that a run starts from: random, with the encoder of a file, or wholly from a file,
/// as the model section says. kind decides the last activation; a metric model takes its range from
/// the metric section. Throws Error when a file holds a model of another size.
DepthAnything starting_model(const TrainConfig& config, DepthKind kind);

/// The encoder that starting_model has, of its own memory: the frozen side of feature alignment.
Dinov2 starting_encoder(const TrainConfig& config);

}  // namespace fathom
