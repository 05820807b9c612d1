#pragma once

#include <string>
#include <vector>

#include "bench/profile_costs.h"
#include "core/profile.h"

namespace fathom::bench {

/// A line of a profile's table: the ops of one name, or of one layer, in one pass. Times, calls and
/// costs are those of a mean step.
struct ProfileRow {
  std::string name;  // "linear_gelu", or "pretrained.blocks.*.mlp"
  profile::Pass pass = profile::Pass::forward;
  double calls = 0;
  double seconds = 0;  // without the ops that were called inside
  double busy = 0;     // share of the time in which the threads worked; 0 on a GPU
  double flops = 0, bytes = 0, floor_s = 0;  // 0: not known
};

struct ProfileTables {
  int64_t steps = 0;
  double step_s = 0;     // wall time
  double outside_s = 0;  // of it in no op: the tape, checks, and on a GPU waiting for launches
  std::vector<ProfileRow> ops, layers;  // longest first; blocks together
  std::vector<ProfileRow> every_layer;  // each block, in the order of the work
  double unplaced_flops = 0;            // of costs whose op never ran
  int64_t peak_bytes = 0;               // of tensors, on the device of the profile
  std::string peak_layer;               // where they were reached

  /// Share of the wall time that ops account for.
  double ops_share() const { return 1 - outside_s / step_s; }
};

/// What the windows called "step" of a recording spent their time on. For a GPU the times of ops
/// are those of its streams. Throws Error if there is no step.
ProfileTables summarize(const profile::Recording& recording, Device device, int threads,
                        const std::vector<PlacedCost>& costs, int64_t batch, const Roof& roof);

/// "pretrained.blocks.3.attn" is "pretrained.blocks.*.attn".
std::string together(const std::string& layer);

}  // namespace fathom::bench
