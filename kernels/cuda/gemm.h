#pragma once

#include <cstdint>
#include <string>

#include "core/tensor.h"

namespace fathom::cuda {

/// c = op(a) op(b) + bias + add, then ReLU if asked: a plain product of row-major matrices without
/// gaps, summed in float.
///
/// op(a) is [M, K]: a itself, or the transpose of a, which is [K, M] then. op(b) is [K, N].
/// Two files implement it, and a program links one: kernels/cuda/gemm.cpp calls cuBLASLt,
/// tests/kernel_host/gemm.cpp is the definition in loops.
struct Gemm {
  DType dtype = DType::f32;    // of a, b and bias: f32, f16 or bf16
  DType c_dtype = DType::f32;  // of c and add: the same, or f32
  const void* a = nullptr;
  bool transpose_a = false;
  const void* b = nullptr;
  bool transpose_b = false;
  void* c = nullptr;
  int64_t M = 0, N = 0, K = 0;
  const void* bias = nullptr;  // [N], added to every row; only where c_dtype is dtype
  const void* add = nullptr;   // [M, N]; may be c itself
  bool relu = false;
};
void gemm(CudaStream stream, const Gemm& product);

/// "13.0.2"; empty in a build without cuBLASLt. Throws Error if the library is not there.
std::string cublaslt_version();

/// Whether products of f32 may round their factors to 10 bits of mantissa (TF32), which tensor
/// cores multiply fast. Off unless asked for; for the whole process.
void allow_tf32(bool on);
bool tf32_allowed();

}  // namespace fathom::cuda
