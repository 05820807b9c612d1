#pragma once

#include "core/dtype.h"

struct CUstream_st;

namespace fathom {

/// c = a b^T for row-major a [m, k] and b [n, k]; m, n, k are multiples of 64. For sm_90a:
/// exercises the tensor copy engine, mbarriers and wgmma of core/gpu/hopper.h.
void wgmma_gemm(CUstream_st* stream, const bfloat16* a, const bfloat16* b, float* c, int m, int n,
                int k);

}  // namespace fathom
