#include "kernels/cuda/layer_scale.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 2 * sizeof(T) bytes an element. A thread takes one vector of columns down up to
// kRows rows, so that it reads its gamma once and divides once.
constexpr int kThreads = 256, kRows = 8;

template <int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    layer_scale_kernel(const T* __restrict__ x, const T* __restrict__ gamma, T* __restrict__ y,
                       int64_t rows, int64_t C) {
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x, vectors = C / kWide;
  const int64_t step = gpu::ceil_div<int64_t>(rows, kRows);
  const int64_t first = thread / vectors, c = thread % vectors * kWide;
  if (first >= step) return;
  float g[kWide];
  load(g, gamma + c);
#pragma unroll 4
  for (int64_t row = first; row < rows; row += step) {
    float values[kWide];
    load(values, x + row * C + c);
#pragma unroll
    for (int i = 0; i < kWide; ++i) values[i] *= g[i];
    store(y + row * C + c, values);
  }
}

}  // namespace

template <class T>
void layer_scale_forward(CUstream_st* stream, const T* x, const T* gamma, T* y, int64_t rows,
                         int64_t C) {
  const auto run = [&]<int kWide> {
    const int64_t threads = gpu::ceil_div<int64_t>(rows, kRows) * (C / kWide);
    gpu::launch(layer_scale_kernel<kWide, device_t<T>>,
                static_cast<unsigned>(gpu::ceil_div<int64_t>(threads, kThreads)), kThreads, 0,
                stream, on_device(x), on_device(gamma), on_device(y), rows, C);
  };
  if (is_vectorised(x, C) && is_vectorised(gamma, C) && is_vectorised(y, C))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

#define FATHOM_INSTANTIATE(T) \
  template void layer_scale_forward(CUstream_st*, const T*, const T*, T*, int64_t, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
