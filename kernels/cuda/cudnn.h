#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/im2col.h"

namespace fathom::cuda {

/// "9.13.0"; empty where it is not there.
std::string cudnn_version();

/// Convolutions by cuDNN on maps [B, H, W, C] of f32, f16 or bf16 as they are; sums in float, and
/// only algorithms that give equal bits in every run.
///
/// All return false, and have done nothing, where cuDNN is not there, was not there when this was
/// compiled, or cannot do it: then the caller computes a product of columns.
///
/// x: [B, H, W, C]; weight: [O, kernel_h, kernel_w, C]; y: [B, out_h, out_w, O]; bias: [O] and
/// residual, as y, or undefined. All contiguous and of one dtype, dweight too.

/// y = conv(x) + bias + residual, then ReLU if asked.
bool cudnn_forward(CudaStream stream, const Im2col& shape, const Tensor& x, const Tensor& weight,
                   const Tensor& bias, const Tensor& residual, bool relu, Tensor& y);
bool cudnn_input_gradient(CudaStream stream, const Im2col& shape, const Tensor& dy,
                          const Tensor& weight, Tensor& dx);
bool cudnn_weight_gradient(CudaStream stream, const Im2col& shape, const Tensor& dy,
                           const Tensor& x, Tensor& dweight);

}  // namespace fathom::cuda
