// Elementwise kernels: y[i] = f(x[i]...), computed in float and rounded once.
#pragma once

#include "kernels/device/vector.cuh"

namespace fathom::cuda {

/// Arrays of one length and type that a function of `kInputs` arguments is mapped over.
template <class T, int kInputs>
struct Sources {
  const T* at[kInputs];
};

template <class T, class... Same>
Sources<device_t<T>, 1 + sizeof...(Same)> sources(const T* first, const Same*... rest) {
  return {{on_device(first), on_device(rest)...}};
}

/// Element k of every input through f.
template <int kInputs, int kWide, class F>
__device__ inline float apply(const F& f, const float (&x)[kInputs][kWide], int k) {
  static_assert(kInputs == 1 || kInputs == 2);
  if constexpr (kInputs == 1) return f(x[0][k]);
  if constexpr (kInputs == 2) return f(x[0][k], x[1][k]);
}

// Memory bound: every element once. All loads of a thread, two vectors an input, are in flight
// before the first is used; neighbours take neighbouring vectors.
constexpr int kPointwiseThreads = 256, kPointwiseSteps = 2;

template <int kWide, class F, class From, int kInputs, class To>
__global__ void __launch_bounds__(kPointwiseThreads)
    pointwise_kernel(F f, Sources<From, kInputs> x, To* y, int64_t N) {
  const int64_t vectors = N / kWide;
  const int64_t first = int64_t(blockIdx.x) * (kPointwiseSteps * kPointwiseThreads) + threadIdx.x;
  float in[kPointwiseSteps][kInputs][kWide] = {};
#pragma unroll
  for (int s = 0; s < kPointwiseSteps; ++s) {
    const int64_t i = first + s * kPointwiseThreads;
#pragma unroll
    for (int k = 0; k < kInputs; ++k)
      if (i < vectors) load(in[s][k], x.at[k] + i * kWide);
  }
#pragma unroll
  for (int s = 0; s < kPointwiseSteps; ++s) {
    const int64_t i = first + s * kPointwiseThreads;
    if (i >= vectors) break;
    float out[kWide];
#pragma unroll
    for (int k = 0; k < kWide; ++k) out[k] = apply(f, in[s], k);
    store(y + i * kWide, out);
  }
  const int64_t behind = vectors * kWide + first;  // the last whole vector: one thread an element
  if (behind >= N) return;
  float one[kInputs][1];
#pragma unroll
  for (int k = 0; k < kInputs; ++k) load(one[k], x.at[k] + behind);
  y[behind] = from_float<To>(apply(f, one, 0));
}

/// y = f(x...) over N elements; y may be one of the inputs. Vectors where all pointers are aligned
/// to 16 bytes.
template <class F, class From, int kInputs, class To>
void pointwise(CUstream_st* stream, F f, const Sources<From, kInputs>& x, To* y, int64_t N) {
  using Out = device_t<To>;
  const auto run = [&]<int kWide> {
    const int64_t threads =
        gpu::ceil_div<int64_t>(gpu::ceil_div<int64_t>(N, kWide), kPointwiseSteps);
    const auto blocks = static_cast<unsigned>(gpu::ceil_div<int64_t>(threads, kPointwiseThreads));
    gpu::launch(pointwise_kernel<kWide, F, From, kInputs, Out>, blocks, kPointwiseThreads, 0,
                stream, f, x, on_device(y), N);
  };
  bool wide = is_vectorised(y, 0);
  for (const From* p : x.at) wide = wide && is_vectorised(p, 0);
  if (wide)
    run.template operator()<(kVector<From> > kVector<Out> ? kVector<From> : kVector<Out>)>();
  else
    run.template operator()<1>();
}

}  // namespace fathom::cuda
