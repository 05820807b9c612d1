#include "kernels/cuda/layer_norm.h"
#include "core/gpu.h"
#include "kernels/device/image_rows.cuh"
#include "kernels/device/vector.cuh"
#include "kernels/device/warp.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 2 * sizeof(T) bytes an element. One warp a row and no barriers, so the loads of a
// block's other rows hide the reductions of one.
constexpr int kWarps = 4, kThreads = 32 * kWarps;

// The row stays in registers, kValues of a lane, so the variance is centred at no cost in traffic.
template <class T, class P, int kValues>
__global__ void __launch_bounds__(kThreads)
    layer_norm_kernel(const T* __restrict__ x, const P* __restrict__ weight,
                      const P* __restrict__ bias, float eps, T* __restrict__ y,
                      float* __restrict__ mean_out, float* __restrict__ rstd_out, int64_t rows,
                      int C, ImageRows images) {
  constexpr int kWide = kVector<T>, kSteps = kValues / kWide;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t row = int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= rows) return;
  x += row_of_x(row, images) * C, y += row * C;

  float values[kSteps][kWide] = {};
  float sum = 0.0f;
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    const int c = (s * 32 + lane) * kWide;
    if (c < C) load(values[s], x + c);
#pragma unroll
    for (int i = 0; i < kWide; ++i) sum += values[s][i];
  }
  const float mean = warp_sum(sum) / static_cast<float>(C);

  float squares = 0.0f;
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
#pragma unroll
    for (int i = 0; i < kWide; ++i) {
      values[s][i] -= mean;
      if ((s * 32 + lane) * kWide < C) squares += values[s][i] * values[s][i];
    }
  const float rstd = rsqrtf(warp_sum(squares) / static_cast<float>(C) + eps);

#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    const int c = (s * 32 + lane) * kWide;
    if (c >= C) continue;
    float w[kWide], b[kWide];
    load(w, weight + c);
    load(b, bias + c);
#pragma unroll
    for (int i = 0; i < kWide; ++i) values[s][i] = values[s][i] * rstd * w[i] + b[i];
    store(y + c, values[s]);
  }
  if (mean_out != nullptr && lane == 0) mean_out[row] = mean, rstd_out[row] = rstd;
}

// Rows of any length, read three times, the last two from the caches.
template <class T, class P>
__global__ void __launch_bounds__(kThreads)
    layer_norm_any_kernel(const T* __restrict__ x, const P* __restrict__ weight,
                          const P* __restrict__ bias, float eps, T* __restrict__ y,
                          float* __restrict__ mean_out, float* __restrict__ rstd_out, int64_t rows,
                          int64_t C, ImageRows images) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t row = int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= rows) return;
  x += row_of_x(row, images) * C, y += row * C;

  float sum = 0.0f;
  for (int64_t c = lane; c < C; c += 32) sum += to_float(x[c]);
  const float mean = warp_sum(sum) / static_cast<float>(C);
  float squares = 0.0f;
  for (int64_t c = lane; c < C; c += 32) {
    const float centred = to_float(x[c]) - mean;
    squares += centred * centred;
  }
  const float rstd = rsqrtf(warp_sum(squares) / static_cast<float>(C) + eps);
  for (int64_t c = lane; c < C; c += 32)
    y[c] = from_float<T>((to_float(x[c]) - mean) * rstd * to_float(weight[c]) + to_float(bias[c]));
  if (mean_out != nullptr && lane == 0) mean_out[row] = mean, rstd_out[row] = rstd;
}

}  // namespace

template <class T, class P>
void layer_norm_forward(CUstream_st* stream, const T* x, const P* weight, const P* bias, float eps,
                        T* y, float* mean, float* rstd, int64_t rows, int64_t C, ImageRows images) {
  using DT = device_t<T>;
  using DP = device_t<P>;
  const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(rows, kWarps)));
  const auto in_registers = [&]<int kValues> {
    gpu::launch(layer_norm_kernel<DT, DP, kValues>, grid, kThreads, 0, stream, on_device(x),
                on_device(weight), on_device(bias), eps, on_device(y), mean, rstd, rows,
                static_cast<int>(C), images);
  };
  const bool wide = is_vectorised(x, C) && is_vectorised(y, C) && is_vectorised(weight, C) &&
                    is_vectorised(bias, C);
  if (!wide || C > 48 * 32)
    gpu::launch(layer_norm_any_kernel<DT, DP>, grid, kThreads, 0, stream, on_device(x),
                on_device(weight), on_device(bias), eps, on_device(y), mean, rstd, rows, C, images);
  else if (C <= 16 * 32)  // 384
    in_registers.template operator()<16>();
  else if (C <= 24 * 32)  // 768
    in_registers.template operator()<24>();
  else if (C <= 32 * 32)  // 1024
    in_registers.template operator()<32>();
  else  // 1536
    in_registers.template operator()<48>();
}

#define FATHOM_INSTANTIATE(T, P)                                                                  \
  template void layer_norm_forward(CUstream_st*, const T*, const P*, const P*, float, T*, float*, \
                                   float*, int64_t, int64_t, ImageRows);
FATHOM_INSTANTIATE(float, float)
FATHOM_INSTANTIATE(float16, float16)
FATHOM_INSTANTIATE(float16, float)
FATHOM_INSTANTIATE(bfloat16, bfloat16)
FATHOM_INSTANTIATE(bfloat16, float)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
