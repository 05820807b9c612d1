#pragma once

#include "core/tensor.h"

namespace fathom {

/// to[i] = from[i] for every index, converting the dtype. Shapes agree; any strides; not recorded.
void strided_copy(const Tensor& from, Tensor& to);

}  // namespace fathom
