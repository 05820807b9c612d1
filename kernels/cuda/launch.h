#pragma once

#include <initializer_list>
#include <sstream>

#include "core/tensor.h"

namespace fathom::cuda {

/// Runs the launches of an op, and adds the op, the shapes and the device to the words of an error.
template <class F>
void launch(const char* op, CudaStream stream, std::initializer_list<Tensor> inputs, F&& f) {
  try {
    f();
  } catch (const Error& error) {
    std::ostringstream shapes;
    for (const Tensor& x : inputs)
      if (x.defined()) shapes << ' ' << x.dtype() << x.shape();
    throw Error(std::string(op) + " of" + shapes.str() +
                    " on cuda:" + std::to_string(stream.device) + ": " + error.what(),
                error.where());
  }
}

/// launch() with f(Tag<T>) for the dtype of the first input: f32, f16 or bf16.
template <class F>
void launch_float(const char* op, CudaStream stream, std::initializer_list<Tensor> inputs, F&& f) {
  launch(op, stream, inputs, [&] {
    switch (inputs.begin()->dtype()) {
      case DType::f32: return f(Tag<float>{});
      case DType::f16: return f(Tag<float16>{});
      case DType::bf16: return f(Tag<bfloat16>{});
      default: fail("CUDA kernels compute in f32, f16 or bf16; convert with to()");
    }
  });
}

/// launch() with f(Tag<T>) for f16 or bf16: what runs on tensor cores.
template <class F>
void launch_half(const char* op, CudaStream stream, std::initializer_list<Tensor> inputs, F&& f) {
  launch(op, stream, inputs, [&] {
    switch (inputs.begin()->dtype()) {
      case DType::f16: return f(Tag<float16>{});
      case DType::bf16: return f(Tag<bfloat16>{});
      default: fail("this CUDA kernel computes in f16 or bf16; convert with to()");
    }
  });
}

/// device_data() of a tensor that may be absent.
template <class T>
const T* device_data_or_null(const Tensor& x) {
  return x.defined() ? x.device_data<T>() : nullptr;
}
template <class T>
T* device_data_or_null(Tensor& x) {
  return x.defined() ? x.device_data<T>() : nullptr;
}

}  // namespace fathom::cuda
