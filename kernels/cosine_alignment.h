#pragma once

#include "core/tensor.h"

namespace fathom {

struct CosineAlignmentOptions {
  double margin = 0.85;  // tokens whose cosine is above it are left out
  /// Divide by the tokens that are kept; otherwise by all of the image.
  bool divide_by_kept = true;
};

struct CosineAlignment {
  Tensor loss;  // [B], f64 for f64, otherwise f32
  Tensor kept;  // [B] i32: tokens that took part
};

/// Feature alignment: sum of 1 - cos(student, teacher) over the tokens of an image whose cosine
/// does not exceed the margin, divided by their number; 0 if none is left.
///
/// student: [B, ..., C], any float dtype: tokens or maps. Without the class token: narrow it away.
/// teacher: of the same shape and dtype; a constant.
/// Differentiable in student: d(1 - cos)/df = -(f'/|f'| - cos f/|f|) / |f|, which tokens are kept
/// being constant. Norms are clamped to 1e-8 from below, as in torch.cosine_similarity (and without
/// the second term in the gradient then). A cosine of NaN is kept, so that it reaches the loss.
/// Computed in f32 (f64 for f64), sums over tokens in double.
/// Source: Yang et al., "Depth Anything" (2024), equation 9 and section 3.3.
CosineAlignment cosine_alignment(const Tensor& student, const Tensor& teacher,
                                 const CosineAlignmentOptions& options = {});

namespace kernels {  // contiguous tensors [B, ..., C]; outputs last
void cosine_alignment_forward(CpuStream, const Tensor& student, const Tensor& teacher,
                              const CosineAlignmentOptions& options, Tensor& loss, Tensor& kept);
void cosine_alignment_forward(CudaStream, const Tensor& student, const Tensor& teacher,
                              const CosineAlignmentOptions& options, Tensor& loss, Tensor& kept);
void cosine_alignment_backward(CpuStream, const Tensor& student, const Tensor& teacher,
                               const CosineAlignmentOptions& options, const Tensor& kept,
                               const Tensor& dloss, Tensor& dstudent);
void cosine_alignment_backward(CudaStream, const Tensor& student, const Tensor& teacher,
                               const CosineAlignmentOptions& options, const Tensor& kept,
                               const Tensor& dloss, Tensor& dstudent);
}  // namespace kernels
}  // namespace fathom
