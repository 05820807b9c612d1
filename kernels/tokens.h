#pragma once

#include "core/tensor.h"

namespace fathom {

/// The token matrix that enters the encoder: class token, registers, patches, with positions added
/// to the class token and the patches (registers carry none).
///
/// patches:   [B, P, D], any float dtype.
/// cls:       [D].
/// positions: [1 + P, D]; row 0 belongs to the class token.
/// registers: [R, D], or undefined for R = 0.
/// Returns [B, 1 + R + P, D]. Differentiable in all arguments.
/// Throws  Error if shapes, dtypes or devices do not match.
/// Source: Darcet et al., "Vision Transformers Need Registers" (2024).
Tensor assemble_tokens(const Tensor& patches, const Tensor& cls, const Tensor& positions,
                       const Tensor& registers = {});

namespace kernels {  // contiguous tensors; outputs last; registers may be undefined
void assemble_tokens_forward(CpuStream, const Tensor& patches, const Tensor& cls,
                             const Tensor& positions, const Tensor& registers, Tensor& y);
void assemble_tokens_forward(CudaStream, const Tensor& patches, const Tensor& cls,
                             const Tensor& positions, const Tensor& registers, Tensor& y);
/// Sums over the batch in order.
void assemble_tokens_backward(CpuStream, const Tensor& dy, Tensor& dpatches, Tensor& dcls,
                              Tensor& dpositions, Tensor& dregisters);
void assemble_tokens_backward(CudaStream, const Tensor& dy, Tensor& dpatches, Tensor& dcls,
                              Tensor& dpositions, Tensor& dregisters);
}  // namespace kernels
}  // namespace fathom
