#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// The launchers behind fathom::add, sub, mul, scale, relu and sigmoid, with their special values.
///
/// All arrays: [N] of T: float, float16 or bfloat16; an output may be one of the inputs.
template <class T>
void add_forward(CUstream_st* stream, const T* a, const T* b, T* y, int64_t N);
template <class T>
void sub_forward(CUstream_st* stream, const T* a, const T* b, T* y, int64_t N);
template <class T>
void mul_forward(CUstream_st* stream, const T* a, const T* b, T* y, int64_t N);
template <class T>
void scale_forward(CUstream_st* stream, const T* x, double factor, T* y, int64_t N);
template <class T>
void relu_forward(CUstream_st* stream, const T* x, T* y, int64_t N);
template <class T>
void relu_backward(CUstream_st* stream, const T* y, const T* dy, T* dx, int64_t N);
template <class T>
void sigmoid_forward(CUstream_st* stream, const T* x, T* y, int64_t N);
template <class T>
void sigmoid_backward(CUstream_st* stream, const T* y, const T* dy, T* dx, int64_t N);

}  // namespace fathom::cuda
