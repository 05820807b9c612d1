#pragma once

#include <string>
#include <vector>

#include "bench/model_costs.h"
#include "core/profile.h"

namespace fathom::bench {

/// A cost of the model, and where a profile shows the work.
struct PlacedCost {
  OpCost cost;
  std::string layer;  // "pretrained.blocks.*.attn"
  profile::Pass pass;
  std::vector<std::string> ops;  // the first of these names that ran there
};

/// All costs of a forward pass or, with options.training, of a step.
std::vector<PlacedCost> placed_costs(const DepthAnythingConfig& model, const CostOptions& options);

}  // namespace fathom::bench
