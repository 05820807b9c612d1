#pragma once

#include <string>
#include <vector>

#include "core/device.h"
#include "core/dtype.h"

namespace fathom::bench {

/// One op of the benches, to be run alone under a tool that looks at kernels.
struct LaunchOptions {
  std::string kernel;                  // "attention/backward"; without a pass, forward
  std::string shape = "S/518x518/b1";  // model, network input, batch
  DType dtype = DType::f32;
  Device device = kCpu;
  int64_t launches = 10;
};

struct Launches {
  std::string name;             // "attention/backward/S/518x518/b1/f32"
  std::vector<double> seconds;  // of each call, until the device was done
  double median_s() const;
};

/// Calls the op so many times and nothing else between: operands are random, made before, and
/// copied to the device; a gradient's tape is recorded before each call. Each call is an NVTX range
/// named "launch" where a tool listens. Throws Error for an op, shape or dtype that no bench has.
Launches launch(const LaunchOptions& options);

}  // namespace fathom::bench
