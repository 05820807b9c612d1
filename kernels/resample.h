#pragma once

#include <vector>

#include "core/tensor.h"

namespace fathom {

/// The linear map of one axis in a separable resampling: output i is the sum over
/// begin[i] <= k < begin[i + 1] of weight[k] * input[index[k]].
struct AxisTaps {
  int64_t inputs = 0;
  std::vector<int32_t> begin{0};
  std::vector<int32_t> index{};
  std::vector<double> weight{};
  int64_t outputs() const { return int64_t(begin.size()) - 1; }
  bool operator==(const AxisTaps&) const = default;
};

/// Bilinear taps with the index arithmetic of PyTorch, in float or double: source positions and
/// weights are rounded to that type. Source: pytorch/pytorch aten/src/ATen/native/UpSample.h.
template <class Real>
AxisTaps linear_taps(int64_t inputs, int64_t outputs, bool align_corners);

/// Bicubic taps (a = -0.75, border replicated, no antialias) of outputs whose centres are `step`
/// inputs apart, in float as PyTorch computes them.
AxisTaps cubic_taps(int64_t inputs, int64_t outputs, float step);

/// Bicubic taps with antialias: a = -0.5, the filter stretched when shrinking and cut at the
/// border. Source: the _aa kernels in aten/src/ATen/native/cpu/UpSampleKernel.cpp.
AxisTaps antialiased_cubic_taps(int64_t inputs, int64_t outputs);

/// The adjoint map, its taps in ascending order of the outputs of `taps`.
AxisTaps transposed(const AxisTaps& taps);

namespace kernels {  // contiguous tensors; outputs last
/// x [B, H, W, C] -> y [B, rows.outputs(), columns.outputs(), C].
void resample(CpuStream, const Tensor& x, const AxisTaps& rows, const AxisTaps& columns, Tensor& y);
/// The taps travel to the device in every call.
void resample(CudaStream, const Tensor& x, const AxisTaps& rows, const AxisTaps& columns,
              Tensor& y);
}  // namespace kernels
}  // namespace fathom
