#pragma once

#include "core/tensor.h"

namespace fathom {

/// Transposed convolution whose kernel equals its stride: every input pixel writes a block of
/// stride x stride output pixels of its own,
/// y[b, s i + ky, s j + kx, o] = bias[o] + sum over c of x[b, i, j, c] weight[ky, kx, o, c].
///
/// x:      [B, H, W, C]; f64, f32, bf16 or f16.
/// weight: [stride, stride, O, C], or the same from pack_conv_transpose2d.
/// bias:   [O], or undefined.
/// Returns [B, stride H, stride W, O]. Differentiable in all arguments, but with packed weights in
/// the
///         bias only. Sums in f32, f64 in f64; the bias is added to the rounded sum.
/// Throws  Error if shapes, dtypes or devices do not fit, or if x needs a gradient while the weight
///         is packed.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride);

/// A weight rearranged once for many calls without gradients.
Tensor pack_conv_transpose2d(const Tensor& weight);

/// The product of x and the weight as [s * s * O, C] gives each pixel's block as one row,
/// [s, s, O]; blocks and maps differ in the order of rows only.
struct Blocks {
  int64_t B, H, W, s, O;  // H, W of the input
};

namespace kernels {  // contiguous tensors; outputs last; bias may be undefined
/// map[b, s i + ky, s j + kx, o] = blocks[b, i, j, ky, kx, o] + bias[o].
void blocks_to_map(CpuStream, const Blocks& n, const Tensor& blocks, const Tensor& bias,
                   Tensor& map);
void blocks_to_map(CudaStream, const Blocks& n, const Tensor& blocks, const Tensor& bias,
                   Tensor& map);
/// The inverse order.
void map_to_blocks(CpuStream, const Blocks& n, const Tensor& map, Tensor& blocks);
void map_to_blocks(CudaStream, const Blocks& n, const Tensor& map, Tensor& blocks);
}  // namespace kernels

}  // namespace fathom
