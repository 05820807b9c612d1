#pragma once

#include <cstdint>

namespace fathom {

enum class Decay { constant, linear, poly, cosine };

/// How the learning rate moves over a run, as a factor of the base rate.
struct Schedule {
  Decay decay = Decay::linear;
  int64_t steps = 1;   // of the whole run
  int64_t warmup = 0;  // steps of a linear rise
  double hold = 0;     // share of the steps after the warm-up before the decay begins
  double power = 0.9;  // of poly. Source: Depth-Anything-V2: metric_depth/train.py
  double least = 0;    // what the factor decays to
};

/// The factor for step 0, 1, ... steps - 1; beyond, `least`. A pure function. With n the steps from
/// the end of warm-up and hold to the end of the run, and x the share of them that has passed:
///     warm-up   (step + 1) / (warmup + 1)
///     constant  1
///     linear    least + (1 - least) (1 - x)
///     poly      least + (1 - least) (1 - x)^power
///     cosine    least + (1 - least) (1 + cos(pi x)) / 2
/// Throws Error if steps, warmup, hold or least are out of range.
double lr_factor(const Schedule& schedule, int64_t step);

}  // namespace fathom
