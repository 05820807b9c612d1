#pragma once

#include "core/tensor.h"

namespace fathom {

/// The sum and the mean of all elements, a scalar (shape []) of x's dtype. Accumulated in float
/// (double for f64) by pieces and in double over the pieces, always in the same order: the bits do
/// not depend on the number of threads. Float dtypes; differentiable.
Tensor sum(const Tensor& x);
Tensor mean(const Tensor& x);

/// The sums over all axes but the last, [C] of x's dtype, of x and of x * y: contiguous
/// [..., C], of one shape. Without a gradient.
Tensor column_sum(const Tensor& x);
Tensor column_dot(const Tensor& x, const Tensor& y);

namespace kernels {  // contiguous tensors; outputs last
/// y[0] = scale * sum of x.
void sum(CpuStream, const Tensor& x, double scale, Tensor& y);
void sum(CudaStream, const Tensor& x, double scale, Tensor& y);
/// Its adjoint: dx[i] = scale * dy[0].
void sum_backward(CpuStream, const Tensor& dy, double scale, Tensor& dx);
void sum_backward(CudaStream, const Tensor& dy, double scale, Tensor& dx);
/// out[c] = sum over n of x[n,c]; x is [..., C], out [C]. Fixed order, as above.
void column_sum(CpuStream, const Tensor& x, Tensor& out);
void column_sum(CudaStream, const Tensor& x, Tensor& out);
/// out[c] = sum over n of x[n,c] * y[n,c].
void column_dot(CpuStream, const Tensor& x, const Tensor& y, Tensor& out);
void column_dot(CudaStream, const Tensor& x, const Tensor& y, Tensor& out);
}  // namespace kernels
}  // namespace fathom
