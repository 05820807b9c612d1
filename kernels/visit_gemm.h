#pragma once

#include "core/tensor.h"

namespace fathom {

/// Calls f(Tag<T>) for the dtypes that products are computed in: f64, f32 and bf16 (summed in f32).
/// f16 has no kernels of its own: ops convert it, see in_f32().
decltype(auto) visit_gemm(DType dtype, auto&& f) {
  switch (dtype) {
    case DType::f64: return f(Tag<double>{});
    case DType::f32: return f(Tag<float>{});
    case DType::bf16: return f(Tag<bfloat16>{});
    default: fail("expected f64, f32 or bf16, got ", dtype);
  }
}

/// x in f32; undefined stays undefined. For the f16 branch of an op, f(in_f32(x), ...).to(f16).
inline Tensor in_f32(const Tensor& x) { return x.defined() ? x.to(DType::f32) : x; }

/// data() of a tensor that may be absent.
template <class T>
const T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

}  // namespace fathom
