#include "kernels/cuda/linear.h"
#include "core/gpu.h"
#include "kernels/device/block.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

constexpr int kThreads = 256;

// Memory bound, 2 * sizeof(T) bytes an element of a weight: small beside the product it prepares.
template <class T>
__global__ void __launch_bounds__(kThreads)
    scale_rows_kernel(const T* __restrict__ weight, const T* __restrict__ gamma,
                      T* __restrict__ out, int64_t K) {
  const int64_t k = int64_t(blockIdx.y) * kThreads + threadIdx.x;
  if (k >= K) return;
  const int64_t at = int64_t(blockIdx.x) * K + k;
  out[at] = from_float<T>(to_float(gamma[blockIdx.x]) * to_float(weight[at]));
}

// Memory bound: reads dw' and w, writes dw. A block a row, so that its dot product is one sum.
template <class T>
__global__ void __launch_bounds__(kThreads)
    unfold_gamma_kernel(const float* __restrict__ dw_folded, const float* __restrict__ db_folded,
                        const T* __restrict__ weight, const T* __restrict__ bias,
                        const T* __restrict__ gamma, T* __restrict__ dw, T* __restrict__ db,
                        T* __restrict__ dgamma, int64_t K) {
  const int64_t n = blockIdx.x;
  const float g = to_float(gamma[n]);
  float dot = 0.0f;
  for (int64_t k = threadIdx.x; k < K; k += kThreads) {
    const float sum = dw_folded[n * K + k];
    dot += sum * to_float(weight[n * K + k]);
    dw[n * K + k] = from_float<T>(g * sum);
  }
  float total = block_sum<kThreads>(dot);
  if (threadIdx.x != 0) return;
  if (bias != nullptr) {
    total += db_folded[n] * to_float(bias[n]);
    db[n] = from_float<T>(g * db_folded[n]);
  }
  dgamma[n] = from_float<T>(total);
}

}  // namespace

template <class T>
void scale_rows(CUstream_st* stream, const T* weight, const T* gamma, T* out, int64_t N,
                int64_t K) {
  const dim3 grid(static_cast<unsigned>(N),
                  static_cast<unsigned>(gpu::ceil_div<int64_t>(K, kThreads)));
  gpu::launch(scale_rows_kernel<device_t<T>>, grid, kThreads, 0, stream, on_device(weight),
              on_device(gamma), on_device(out), K);
}

template <class T>
void unfold_gamma(CUstream_st* stream, const float* dw_folded, const float* db_folded,
                  const T* weight, const T* bias, const T* gamma, T* dw, T* db, T* dgamma,
                  int64_t N, int64_t K) {
  gpu::launch(unfold_gamma_kernel<device_t<T>>, dim3(static_cast<unsigned>(N)), kThreads, 0, stream,
              dw_folded, db_folded, on_device(weight), on_device(bias), on_device(gamma),
              on_device(dw), on_device(db), on_device(dgamma), K);
}

#define FATHOM_INSTANTIATE(T)                                                              \
  template void scale_rows(CUstream_st*, const T*, const T*, T*, int64_t, int64_t);        \
  template void unfold_gamma(CUstream_st*, const float*, const float*, const T*, const T*, \
                             const T*, T*, T*, T*, int64_t, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
