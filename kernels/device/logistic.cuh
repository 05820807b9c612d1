#pragma once

#include "core/gpu.h"

namespace fathom::cuda {

/// 1 / (1 + exp(-x)), within 4 ulp while the result is a normal float.
__device__ inline float logistic(float x) { return __fdividef(1.0f, 1.0f + expf(-x)); }

}  // namespace fathom::cuda
