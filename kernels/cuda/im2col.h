#pragma once

#include "kernels/im2col.h"

struct CUstream_st;

namespace fathom::cuda {

/// The launchers behind kernels::im2col and kernels::col2im.
///
/// x, dx: [B, H, W, C] of T: float, float16 or bfloat16; columns: [rows, kernel_h * kernel_w * C].
/// col2im sums in float, in the order of the kernel's rows and columns.
template <class T>
void im2col(CUstream_st* stream, const Im2col& shape, const T* x, T* columns);
template <class T>
void col2im(CUstream_st* stream, const Im2col& shape, const T* columns, T* dx);

}  // namespace fathom::cuda
