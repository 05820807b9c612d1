// The stages of a pipeline, one after another.
#pragma once

#include "core/gpu.h"

namespace fathom::cuda {

/// Which stage comes next, and the parity of its barrier's phase.
template <int kCount>
struct Ring {
  int at = 0;
  unsigned parity = 0;
  __device__ void next() {
    if (++at == kCount) at = 0, parity ^= 1;
  }
};

}  // namespace fathom::cuda
