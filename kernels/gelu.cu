#include "kernels/device/gelu.cuh"
#include "kernels/cuda/gelu.h"
#include "kernels/device/pointwise.cuh"

namespace fathom::cuda {
namespace {

struct Gelu {
  __device__ float operator()(float x) const { return gelu(x); }
};
struct GeluBackward {
  __device__ float operator()(float x, float dy) const { return dy * gelu_derivative(x); }
};

}  // namespace

template <class T>
void gelu_forward(CUstream_st* stream, const T* x, T* y, int64_t N) {
  pointwise(stream, Gelu{}, sources(x), y, N);
}

template <class T>
void gelu_backward(CUstream_st* stream, const T* x, const T* dy, T* dx, int64_t N) {
  pointwise(stream, GeluBackward{}, sources(x, dy), dx, N);
}

#define FATHOM_INSTANTIATE(T)                                      \
  template void gelu_forward(CUstream_st*, const T*, T*, int64_t); \
  template void gelu_backward(CUstream_st*, const T*, const T*, T*, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
