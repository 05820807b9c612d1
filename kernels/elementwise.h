#pragma once

#include "core/tensor.h"

namespace fathom {

/// a + b, a - b and a * b, element by element. Same shape, float dtype and device; differentiable.
/// Throws Error if the shapes, dtypes or devices differ: nothing is broadcast or promoted.
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);

/// factor * x for a constant factor. Differentiable in x.
Tensor scale(const Tensor& x, double factor);

/// max(x, 0); a NaN stays a NaN. The gradient at 0 is 0.
Tensor relu(const Tensor& x);

/// 1 / (1 + exp(-x)).
Tensor sigmoid(const Tensor& x);

namespace kernels {  // contiguous tensors of one shape and dtype; outputs last
void add_forward(CpuStream, const Tensor& a, const Tensor& b, Tensor& y);
void add_forward(CudaStream, const Tensor& a, const Tensor& b, Tensor& y);
void sub_forward(CpuStream, const Tensor& a, const Tensor& b, Tensor& y);
void sub_forward(CudaStream, const Tensor& a, const Tensor& b, Tensor& y);
void mul_forward(CpuStream, const Tensor& a, const Tensor& b, Tensor& y);
void mul_forward(CudaStream, const Tensor& a, const Tensor& b, Tensor& y);
void scale_forward(CpuStream, const Tensor& x, double factor, Tensor& y);
void scale_forward(CudaStream, const Tensor& x, double factor, Tensor& y);
void relu_forward(CpuStream, const Tensor& x, Tensor& y);
void relu_forward(CudaStream, const Tensor& x, Tensor& y);
void relu_backward(CpuStream, const Tensor& y, const Tensor& dy, Tensor& dx);
void relu_backward(CudaStream, const Tensor& y, const Tensor& dy, Tensor& dx);
void sigmoid_forward(CpuStream, const Tensor& x, Tensor& y);
void sigmoid_forward(CudaStream, const Tensor& x, Tensor& y);
void sigmoid_backward(CpuStream, const Tensor& y, const Tensor& dy, Tensor& dx);
void sigmoid_backward(CudaStream, const Tensor& y, const Tensor& dy, Tensor& dx);
}  // namespace kernels
}  // namespace fathom
