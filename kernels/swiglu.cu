#include "kernels/cuda/swiglu.h"
#include "kernels/device/logistic.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 3 * sizeof(T) bytes an output, 5 in the backward pass. A thread makes a vector of
// one row; the rows are along the grid's x, which has room for any number of them.
constexpr int kThreads = 256;

template <int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    swiglu_kernel(const T* __restrict__ x, T* __restrict__ y, int64_t h) {
  const int64_t c = (int64_t(blockIdx.y) * kThreads + threadIdx.x) * kWide;
  if (c >= h) return;
  const int64_t row = blockIdx.x;
  float gate[kWide], value[kWide];
  load(gate, x + row * 2 * h + c);
  load(value, x + row * 2 * h + h + c);
#pragma unroll
  for (int i = 0; i < kWide; ++i) value[i] *= gate[i] * logistic(gate[i]);
  store(y + row * h + c, value);
}

template <int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(const T* __restrict__ x, const T* __restrict__ dy, T* __restrict__ dx,
                           int64_t h) {
  const int64_t c = (int64_t(blockIdx.y) * kThreads + threadIdx.x) * kWide;
  if (c >= h) return;
  const int64_t row = blockIdx.x;
  float gate[kWide], value[kWide], d[kWide];
  load(gate, x + row * 2 * h + c);
  load(value, x + row * 2 * h + h + c);
  load(d, dy + row * h + c);
#pragma unroll
  for (int i = 0; i < kWide; ++i) {
    const float g = gate[i], s = logistic(g);
    gate[i] = d[i] * value[i] * s * (1.0f + g * (1.0f - s));  // d silu / d gate
    value[i] = d[i] * g * s;
  }
  store(dx + row * 2 * h + c, gate);
  store(dx + row * 2 * h + h + c, value);
}

template <int kWide>
dim3 grid_of(int64_t rows, int64_t h) {
  return dim3(static_cast<unsigned>(rows),
              static_cast<unsigned>(gpu::ceil_div<int64_t>(h, kThreads * kWide)));
}

}  // namespace

template <class T>
void swiglu_forward(CUstream_st* stream, const T* x, T* y, int64_t rows, int64_t h) {
  const auto run = [&]<int kWide> {
    gpu::launch(swiglu_kernel<kWide, device_t<T>>, grid_of<kWide>(rows, h), kThreads, 0, stream,
                on_device(x), on_device(y), h);
  };
  if (is_vectorised(x, h) && is_vectorised(y, h))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

template <class T>
void swiglu_backward(CUstream_st* stream, const T* x, const T* dy, T* dx, int64_t rows, int64_t h) {
  const auto run = [&]<int kWide> {
    gpu::launch(swiglu_backward_kernel<kWide, device_t<T>>, grid_of<kWide>(rows, h), kThreads, 0,
                stream, on_device(x), on_device(dy), on_device(dx), h);
  };
  if (is_vectorised(x, h) && is_vectorised(dy, h) && is_vectorised(dx, h))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

#define FATHOM_INSTANTIATE(T)                                                 \
  template void swiglu_forward(CUstream_st*, const T*, T*, int64_t, int64_t); \
  template void swiglu_backward(CUstream_st*, const T*, const T*, T*, int64_t, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
