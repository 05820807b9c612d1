// Rows of x and of y in a norm that leaves out the first rows of every image.
#pragma once

#include "core/gpu.h"
#include "kernels/cuda/layer_norm.h"

namespace fathom::cuda {

/// The row of x that becomes row `row` of y.
__device__ inline int64_t row_of_x(int64_t row, ImageRows images) {
  return images.skip == 0 ? row : row + (row / images.kept + 1) * images.skip;
}

}  // namespace fathom::cuda
