#pragma once

#include "core/tensor.h"

namespace fathom {

/// Cuts an image into patches and projects each: a convolution with stride = kernel, as tokens.
///
/// image:  [B, H, W, 3]; H and W multiples of the patch size p.
/// weight: [D, p, p, 3], or the same from pack_conv2d with stride p.
/// bias:   [D], or undefined.
/// Returns [B, (H / p) * (W / p), D], patches row by row. Differentiable in all arguments, but not
///         with packed weights.
/// Throws  Error if shapes, dtypes or devices do not fit.
/// Source: Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021), equation 1.
Tensor patch_embed(const Tensor& image, const Tensor& weight, const Tensor& bias);

namespace kernels {
/// x [B, H, W, C] -> [B, (H / p) * (W / p), columns], a patch a row, with zeros behind its p * p *
/// C values up to a multiple of eight columns. The CPU's convolution reads the image itself.
Tensor patchify(CudaStream, const Tensor& x, int64_t p);
}  // namespace kernels

}  // namespace fathom
