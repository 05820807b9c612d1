#pragma once

#include "core/tensor.h"

namespace fathom {

// A mask is a boolean tensor [B, ...]: true where a value counts. Losses take one mask an image;
// CutMix makes two regions of it. None of these is differentiable.

/// a and b; a and not b. Same shape.
Tensor mask_and(const Tensor& a, const Tensor& b);
Tensor mask_and_not(const Tensor& a, const Tensor& b);

/// The mask of image b where keep[b] is not 0, no element where it is. keep [B], f32 or f64.
Tensor mask_images(const Tensor& mask, const Tensor& keep);

/// True elements of each image, [B] i32.
Tensor mask_count(const Tensor& mask);

/// Share of true elements of each image, [B], f32 or f64.
Tensor mask_fraction(const Tensor& mask, DType dtype);

/// Checks that x is [B, ...] in f32 or f64 and mask boolean of its shape on its device.
void check_masked(const char* op, const Tensor& x, const Tensor& mask);

/// Calls f(Tag<T>) for f32 and f64, the types that losses are computed in; throws on any other.
decltype(auto) visit_loss(DType dtype, auto&& f) {
  if (dtype == DType::f64) return f(Tag<double>{});
  check(dtype == DType::f32, "losses are computed in f32 or f64, got ", dtype,
        "; convert with to()");
  return f(Tag<float>{});
}

namespace kernels {  // contiguous tensors; outputs last
void mask_and(CpuStream, const Tensor& a, const Tensor& b, Tensor& y);
void mask_and(CudaStream, const Tensor& a, const Tensor& b, Tensor& y);
void mask_and_not(CpuStream, const Tensor& a, const Tensor& b, Tensor& y);
void mask_and_not(CudaStream, const Tensor& a, const Tensor& b, Tensor& y);
void mask_images(CpuStream, const Tensor& mask, const Tensor& keep, Tensor& y);
void mask_images(CudaStream, const Tensor& mask, const Tensor& keep, Tensor& y);
/// count [B] i32. An image has fewer than 2^31 elements.
void mask_count(CpuStream, const Tensor& mask, Tensor& count);
void mask_count(CudaStream, const Tensor& mask, Tensor& count);
/// y[b] = count[b] / N, rounded once.
void mask_fraction(CpuStream, const Tensor& mask, Tensor& y);
void mask_fraction(CudaStream, const Tensor& mask, Tensor& y);
}  // namespace kernels
}  // namespace fathom
