#pragma once

#include "core/tensor.h"

namespace fathom {

/// A convolution seen as a product: one row a output pixel, holding the input pixels under the
/// kernel, [kh, kw, C], with zeros outside the map.
struct Im2col {
  int64_t B, H, W, C;  // the map
  int64_t kernel_h, kernel_w, stride, pad;

  int64_t out_h() const { return (H + 2 * pad - kernel_h) / stride + 1; }
  int64_t out_w() const { return (W + 2 * pad - kernel_w) / stride + 1; }
  int64_t rows() const { return B * out_h() * out_w(); }
  int64_t columns() const { return kernel_h * kernel_w * C; }
  /// Whether the map itself is the matrix of columns.
  bool is_product() const { return kernel_h == 1 && kernel_w == 1 && stride == 1 && pad == 0; }
};

namespace kernels {
/// x [B,H,W,C] -> columns [rows, kh * kw * C]. Any float dtype.
void im2col(CpuStream, const Im2col& shape, const Tensor& x, Tensor& columns);
void im2col(CudaStream, const Im2col& shape, const Tensor& x, Tensor& columns);
/// The adjoint: every input pixel sums the entries that were copied from it, in a fixed order.
void col2im(CpuStream, const Im2col& shape, const Tensor& dcolumns, Tensor& dx);
void col2im(CudaStream, const Im2col& shape, const Tensor& dcolumns, Tensor& dx);
}  // namespace kernels
}  // namespace fathom
