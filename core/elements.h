#pragma once

#include "core/tensor.h"

namespace fathom {

/// Index space of a copy: axes that are adjacent in both tensors are merged, so that a contiguous
/// copy becomes one row. At least one axis.
struct CopyPlan {
  Shape extents;
  Strides from, to;
};

namespace kernels {  // the loops over elements that core itself needs; outputs last
/// Every element of the contiguous x becomes the value, converted to its dtype.
void fill(CpuStream, double value, Tensor& x);
void fill(CudaStream, double value, Tensor& x);
/// to[i] = from[i], converting the dtype; strides as in the plan.
void copy_elements(CpuStream, const CopyPlan& plan, const Tensor& from, Tensor& to);
void copy_elements(CudaStream, const CopyPlan& plan, const Tensor& from, Tensor& to);
/// a += b, both contiguous, of one shape and float dtype.
void add_in_place(CpuStream, const Tensor& b, Tensor& a);
void add_in_place(CudaStream, const Tensor& b, Tensor& a);
/// Contiguous bytes from one device to another, one of which has the stream. Waits for the stream
/// when the target is the CPU.
void transfer(CudaStream, const Tensor& from, Tensor& to);
}  // namespace kernels
}  // namespace fathom
