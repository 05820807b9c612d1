#include "kernels/cuda/tokens.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 2 * sizeof(T) bytes a token element in both directions; the positions come from the
// caches. A thread makes one vector of a token, in the backward pass of that token of every image.
constexpr int kThreads = 256;

template <int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    assemble_tokens_kernel(const T* __restrict__ patches, const T* __restrict__ cls,
                           const T* __restrict__ positions, const T* __restrict__ registers,
                           T* __restrict__ y, unsigned count, int P, int R, int D) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x,
                 vectors = static_cast<unsigned>(D / kWide);
  if (i >= count) return;
  const unsigned row = i / vectors, tokens = static_cast<unsigned>(1 + R + P);
  const int image = static_cast<int>(row / tokens), t = static_cast<int>(row % tokens);
  const int d = static_cast<int>(i % vectors) * kWide;
  float values[kWide], position[kWide];
  if (t > 0 && t <= R) {
    load(values, registers + int64_t(t - 1) * D + d);
  } else {
    load(values, t == 0 ? cls + d : patches + (int64_t(image) * P + t - 1 - R) * D + d);
    load(position, positions + int64_t(t == 0 ? 0 : t - R) * D + d);
#pragma unroll
    for (int k = 0; k < kWide; ++k) values[k] += position[k];
  }
  store(y + int64_t(row) * D + d, values);
}

template <int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    assemble_tokens_backward_kernel(const T* __restrict__ dy, T* __restrict__ dpatches,
                                    T* __restrict__ dcls, T* __restrict__ dpositions,
                                    T* __restrict__ dregisters, unsigned count, int B, int P, int R,
                                    int D) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x,
                 vectors = static_cast<unsigned>(D / kWide);
  if (i >= count) return;
  const int t = static_cast<int>(i / vectors), d = static_cast<int>(i % vectors) * kWide;
  float sum[kWide] = {};
#pragma unroll 4
  for (int b = 0; b < B; ++b) {
    float values[kWide];
    load(values, dy + (int64_t(b) * (1 + R + P) + t) * D + d);
#pragma unroll
    for (int k = 0; k < kWide; ++k) sum[k] += values[k];
    if (t > R) store(dpatches + (int64_t(b) * P + t - 1 - R) * D + d, values);
  }
  if (t > 0 && t <= R) {
    store(dregisters + int64_t(t - 1) * D + d, sum);
    return;
  }
  store(dpositions + int64_t(t == 0 ? 0 : t - R) * D + d, sum);
  if (t == 0) store(dcls + d, sum);
}

}  // namespace

template <class T>
void assemble_tokens_forward(CUstream_st* stream, const T* patches, const T* cls,
                             const T* positions, const T* registers, T* y, int64_t B, int64_t P,
                             int64_t R, int64_t D) {
  const auto run = [&]<int kWide> {
    const int64_t count = B * (1 + R + P) * (D / kWide);
    gpu::launch(assemble_tokens_kernel<kWide, device_t<T>>,
                static_cast<unsigned>(gpu::ceil_div<int64_t>(count, kThreads)), kThreads, 0, stream,
                on_device(patches), on_device(cls), on_device(positions), on_device(registers),
                on_device(y), static_cast<unsigned>(count), static_cast<int>(P),
                static_cast<int>(R), static_cast<int>(D));
  };
  if (is_vectorised(patches, D) && is_vectorised(cls, D) && is_vectorised(positions, D) &&
      is_vectorised(registers, D) && is_vectorised(y, D))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

template <class T>
void assemble_tokens_backward(CUstream_st* stream, const T* dy, T* dpatches, T* dcls, T* dpositions,
                              T* dregisters, int64_t B, int64_t P, int64_t R, int64_t D) {
  const auto run = [&]<int kWide> {
    const int64_t count = (1 + R + P) * (D / kWide);
    gpu::launch(assemble_tokens_backward_kernel<kWide, device_t<T>>,
                static_cast<unsigned>(gpu::ceil_div<int64_t>(count, kThreads)), kThreads, 0, stream,
                on_device(dy), on_device(dpatches), on_device(dcls), on_device(dpositions),
                on_device(dregisters), static_cast<unsigned>(count), static_cast<int>(B),
                static_cast<int>(P), static_cast<int>(R), static_cast<int>(D));
  };
  if (is_vectorised(dy, D) && is_vectorised(dpatches, D) && is_vectorised(dcls, D) &&
      is_vectorised(dpositions, D) && is_vectorised(dregisters, D))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

#define FATHOM_INSTANTIATE(T)                                                                      \
  template void assemble_tokens_forward(CUstream_st*, const T*, const T*, const T*, const T*, T*,  \
                                        int64_t, int64_t, int64_t, int64_t);                       \
  template void assemble_tokens_backward(CUstream_st*, const T*, T*, T*, T*, T*, int64_t, int64_t, \
                                         int64_t, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
