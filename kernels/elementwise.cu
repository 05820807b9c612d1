#include "kernels/cuda/elementwise.h"
#include "kernels/device/logistic.cuh"
#include "kernels/device/pointwise.cuh"

namespace fathom::cuda {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Sub {
  __device__ float operator()(float a, float b) const { return a - b; }
};
struct Mul {
  __device__ float operator()(float a, float b) const { return a * b; }
};
struct Scale {
  float factor;
  __device__ float operator()(float x) const { return x * factor; }
};
struct Relu {
  __device__ float operator()(float x) const { return x < 0.0f ? 0.0f : x; }  // keeps a NaN
};
struct ReluBackward {
  __device__ float operator()(float y, float dy) const { return y > 0.0f ? dy : 0.0f; }
};
struct Sigmoid {
  __device__ float operator()(float x) const { return logistic(x); }
};
struct SigmoidBackward {
  __device__ float operator()(float y, float dy) const { return dy * y * (1.0f - y); }
};

}  // namespace

template <class T>
void add_forward(CUstream_st* stream, const T* a, const T* b, T* y, int64_t N) {
  pointwise(stream, Add{}, sources(a, b), y, N);
}

template <class T>
void sub_forward(CUstream_st* stream, const T* a, const T* b, T* y, int64_t N) {
  pointwise(stream, Sub{}, sources(a, b), y, N);
}

template <class T>
void mul_forward(CUstream_st* stream, const T* a, const T* b, T* y, int64_t N) {
  pointwise(stream, Mul{}, sources(a, b), y, N);
}

template <class T>
void scale_forward(CUstream_st* stream, const T* x, double factor, T* y, int64_t N) {
  pointwise(stream, Scale{static_cast<float>(factor)}, sources(x), y, N);
}

template <class T>
void relu_forward(CUstream_st* stream, const T* x, T* y, int64_t N) {
  pointwise(stream, Relu{}, sources(x), y, N);
}

template <class T>
void relu_backward(CUstream_st* stream, const T* y, const T* dy, T* dx, int64_t N) {
  pointwise(stream, ReluBackward{}, sources(y, dy), dx, N);
}

template <class T>
void sigmoid_forward(CUstream_st* stream, const T* x, T* y, int64_t N) {
  pointwise(stream, Sigmoid{}, sources(x), y, N);
}

template <class T>
void sigmoid_backward(CUstream_st* stream, const T* y, const T* dy, T* dx, int64_t N) {
  pointwise(stream, SigmoidBackward{}, sources(y, dy), dx, N);
}

#define FATHOM_INSTANTIATE(T)                                                 \
  template void add_forward(CUstream_st*, const T*, const T*, T*, int64_t);   \
  template void sub_forward(CUstream_st*, const T*, const T*, T*, int64_t);   \
  template void mul_forward(CUstream_st*, const T*, const T*, T*, int64_t);   \
  template void scale_forward(CUstream_st*, const T*, double, T*, int64_t);   \
  template void relu_forward(CUstream_st*, const T*, T*, int64_t);            \
  template void relu_backward(CUstream_st*, const T*, const T*, T*, int64_t); \
  template void sigmoid_forward(CUstream_st*, const T*, T*, int64_t);         \
  template void sigmoid_backward(CUstream_st*, const T*, const T*, T*, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
