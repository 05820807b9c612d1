// What kernels for sm_90a may use besides gpu.h: mbarrier, the tensor copy engine and wgmma.
#pragma once

#include "core/gpu.h"

#if defined(__CUDACC__)
#include "core/gpu/hopper_device.h"
#else
#include "core/gpu/hopper_host.h"
#endif

namespace fathom::gpu {

// Boxes of box_rows x 64 elements of a row-major matrix.
template <class T>
TensorMap make_tensor_map(const T* matrix, std::uint64_t rows, std::uint64_t columns,
                          std::uint32_t box_rows) {
  return make_tensor_map<T>(matrix, {columns, rows, 1, 1},
                            {columns, rows * columns, rows * columns}, box_rows);
}

}  // namespace fathom::gpu
