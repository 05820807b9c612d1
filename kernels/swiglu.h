#pragma once

#include "core/tensor.h"

namespace fathom {

/// The gated activation of DINOv2-g: y = silu(gate) * value, silu(x) = x / (1 + exp(-x)).
///
/// x: [..., 2h], the gate in the first half of the last axis, the value in the second; float dtype.
/// Returns [..., h]. Differentiable.
/// Throws  Error if the last axis is odd.
/// Source: Shazeer, "GLU Variants Improve Transformer" (2020), equation 6.
Tensor swiglu(const Tensor& x);

namespace kernels {  // contiguous tensors; outputs last
void swiglu_forward(CpuStream, const Tensor& x, Tensor& y);
void swiglu_forward(CudaStream, const Tensor& x, Tensor& y);
void swiglu_backward(CpuStream, const Tensor& x, const Tensor& dy, Tensor& dx);
void swiglu_backward(CudaStream, const Tensor& x, const Tensor& dy, Tensor& dx);
}  // namespace kernels
}  // namespace fathom
