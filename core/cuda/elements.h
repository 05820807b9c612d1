#pragma once

#include <cstdint>

#include "core/dtype.h"

struct CUstream_st;

namespace fathom::cuda {

/// Where the elements of two tensors of the same extents are, in elements; rank 1 to 6.
struct ElementIndex {
  int rank;
  int64_t extent[6], from[6], to[6];
};

/// to[...] = from[...], converted as the CPU's cast() does. Throws Error for f64 to a half type,
/// which would be rounded twice.
void copy_elements(CUstream_st* stream, const ElementIndex& index, DType from_type,
                   const void* from, DType to_type, void* to);

/// count elements of 1, 2, 4 or 8 bytes, each with the low bytes of `bits`.
void fill_elements(CUstream_st* stream, void* x, int element_bytes, uint64_t bits, int64_t count);

/// a[i] += b[i] in f32, f16 or bf16, sums in float. Throws Error for another dtype.
void add_elements(CUstream_st* stream, DType dtype, const void* b, void* a, int64_t count);

}  // namespace fathom::cuda
