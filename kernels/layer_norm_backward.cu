#include <algorithm>

#include "core/gpu.h"
#include "kernels/cuda/layer_norm.h"
#include "kernels/device/image_rows.cuh"
#include "kernels/device/sum_rows.cuh"
#include "kernels/device/vector.cuh"
#include "kernels/device/warp.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: x, dy and dx once, 3 * sizeof(T) bytes an element; with a residual stream in float
// and its gradient, 4 + 2 + 4 + 4 + 2. A warp a row and no barriers in the loop.

// Shape of the grid by the values that a lane holds: two arrays of them and their two sums over the
// rows stay in registers, so longer rows leave room for fewer warps.
template <int kValues>
constexpr int kWarps = kValues <= 24 ? 8 : 4;
template <int kValues>
constexpr int kResident = kValues == 32 ? 3 : 2;  // blocks of a multiprocessor, all of one wave
constexpr int kMostResident = 3;

// Of rows that the forward pass left out: the gradient that reaches x past the norm, or zeros.
template <class X, class T>
__device__ void pass_residual(const X* dresidual, X* dx, T* __restrict__ dx_rounded, int64_t at) {
  const float d = dresidual == nullptr ? 0.0f : to_float(dresidual[at]);
  dx[at] = from_float<X>(d);
  if (dx_rounded != nullptr) dx_rounded[at] = from_float<T>(d);
}

template <class X, class T, class P, int kValues>
__global__ void __launch_bounds__(32 * kWarps<kValues>, kResident<kValues>)
    layer_norm_backward_kernel(const X* __restrict__ x, const P* __restrict__ weight,
                               const float* __restrict__ mean, const float* __restrict__ rstd,
                               const T* __restrict__ dy, const X* dresidual, X* dx,
                               T* __restrict__ dx_rounded, float* __restrict__ partial,
                               int64_t rows, int64_t rows_per_block, int C, ImageRows images) {
  constexpr int kWide = kVector < X >> kVector<T> ? kVector<X> : kVector<T>;
  constexpr int kSteps = kValues / kWide;
  constexpr int kThreads = 32 * kWarps<kValues>;
  GPU_SHARED(sums, float[kWarps<kValues>][kValues * 32]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int64_t begin = blockIdx.x * rows_per_block, end = min(begin + rows_per_block, rows);

  float dweight[kSteps][kWide] = {}, dbias[kSteps][kWide] = {};
  for (int64_t row = begin + warp; row < end; row += kWarps<kValues>) {
    const float row_mean = mean[row], row_rstd = rstd[row];
    const int64_t at = row_of_x(row, images) * C;
    if (images.skip > 0 && row % images.kept == 0)
      for (int64_t c = lane; c < images.skip * C; c += 32)
        pass_residual(dresidual, dx, dx_rounded, at - images.skip * C + c);
    float g[kSteps][kWide] = {}, h[kSteps][kWide] = {};
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const int c = (s * 32 + lane) * kWide;
      if (c >= C) continue;
      load(h[s], x + at + c);
      load(g[s], dy + row * C + c);
    }
    float sum_g = 0.0f, sum_gh = 0.0f;
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const int c = (s * 32 + lane) * kWide;
      if (c >= C) continue;
      float w[kWide];
      load(w, weight + c);
#pragma unroll
      for (int i = 0; i < kWide; ++i) {
        h[s][i] = (h[s][i] - row_mean) * row_rstd;
        dweight[s][i] += g[s][i] * h[s][i];
        dbias[s][i] += g[s][i];
        g[s][i] *= w[i];
        sum_g += g[s][i];
        sum_gh += g[s][i] * h[s][i];
      }
    }
    const float mean_g = warp_sum(sum_g) / static_cast<float>(C);
    const float mean_gh = warp_sum(sum_gh) / static_cast<float>(C);
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const int c = (s * 32 + lane) * kWide;
      if (c >= C) continue;
      float d[kWide] = {};
      if (dresidual != nullptr) load(d, dresidual + at + c);
#pragma unroll
      for (int i = 0; i < kWide; ++i) d[i] += (g[s][i] - mean_g - h[s][i] * mean_gh) * row_rstd;
      store(dx + at + c, d);
      if (dx_rounded != nullptr) store(dx_rounded + at + c, d);
    }
  }

  // The warps' sums, in their order; partial is [blocks, 2, C].
  for (int which = 0; which < 2; ++which) {
    __syncthreads();  // the sums before are read
#pragma unroll
    for (int s = 0; s < kSteps; ++s)
      store(&sums[warp][(s * 32 + lane) * kWide], which == 0 ? dweight[s] : dbias[s]);
    __syncthreads();
    for (int c = thread; c < C; c += kThreads) {
      float total = 0.0f;
#pragma unroll
      for (int w = 0; w < kWarps<kValues>; ++w) total += sums[w][c];
      partial[(int64_t(blockIdx.x) * 2 + which) * C + c] = total;
    }
  }
}

// ---- rows of any length: dx with a warp a row, then dweight and dbias with a thread a column

constexpr int kAnyWarps = 4, kColumns = 128;

template <class X, class T, class P>
__global__ void __launch_bounds__(32 * kAnyWarps)
    layer_norm_dx_kernel(const X* __restrict__ x, const P* __restrict__ weight,
                         const float* __restrict__ mean, const float* __restrict__ rstd,
                         const T* __restrict__ dy, const X* dresidual, X* dx,
                         T* __restrict__ dx_rounded, int64_t rows, int64_t C, ImageRows images) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t row = int64_t(blockIdx.x) * kAnyWarps + threadIdx.x / 32;
  if (row >= rows) return;
  const float row_mean = mean[row], row_rstd = rstd[row];
  const int64_t first = row_of_x(row, images) * C;
  if (images.skip > 0 && row % images.kept == 0)
    for (int64_t c = lane; c < images.skip * C; c += 32)
      pass_residual(dresidual, dx, dx_rounded, first - images.skip * C + c);
  float sum_g = 0.0f, sum_gh = 0.0f;
  for (int64_t c = lane; c < C; c += 32) {
    const float g = to_float(dy[row * C + c]) * to_float(weight[c]);
    sum_g += g;
    sum_gh += g * ((to_float(x[first + c]) - row_mean) * row_rstd);
  }
  const float mean_g = warp_sum(sum_g) / static_cast<float>(C);
  const float mean_gh = warp_sum(sum_gh) / static_cast<float>(C);
  for (int64_t c = lane; c < C; c += 32) {
    const int64_t i = first + c;
    const float g = to_float(dy[row * C + c]) * to_float(weight[c]);
    const float h = (to_float(x[i]) - row_mean) * row_rstd;
    const float d = (dresidual == nullptr ? 0.0f : to_float(dresidual[i])) +
                    (g - mean_g - h * mean_gh) * row_rstd;
    dx[i] = from_float<X>(d);
    if (dx_rounded != nullptr) dx_rounded[i] = from_float<T>(d);
  }
}

template <class X, class T>
__global__ void __launch_bounds__(kColumns)
    layer_norm_columns_kernel(const X* __restrict__ x, const float* __restrict__ mean,
                              const float* __restrict__ rstd, const T* __restrict__ dy,
                              float* __restrict__ partial, int64_t rows, int64_t rows_per_block,
                              int64_t C, ImageRows images) {
  const int64_t c = int64_t(blockIdx.y) * kColumns + threadIdx.x;
  if (c >= C) return;
  const int64_t begin = blockIdx.x * rows_per_block, end = min(begin + rows_per_block, rows);
  float dweight = 0.0f, dbias = 0.0f;
#pragma unroll 4
  for (int64_t row = begin; row < end; ++row) {
    const float d = to_float(dy[row * C + c]);
    dweight += d * ((to_float(x[row_of_x(row, images) * C + c]) - mean[row]) * rstd[row]);
    dbias += d;
  }
  partial[(int64_t(blockIdx.x) * 2) * C + c] = dweight;
  partial[(int64_t(blockIdx.x) * 2 + 1) * C + c] = dbias;
}

}  // namespace

int64_t layer_norm_workspace(int64_t rows, int64_t C) {
  return 2 * C * std::min<int64_t>(rows, int64_t(kMostResident) * gpu::multiprocessors());
}

template <class X, class T, class P>
void layer_norm_backward(CUstream_st* stream, const X* x, const P* weight, const float* mean,
                         const float* rstd, const T* dy, const X* dresidual, X* dx, T* dx_rounded,
                         P* dweight, P* dbias, float* workspace, int64_t rows, int64_t C,
                         ImageRows images) {
  using DX = device_t<X>;
  using DT = device_t<T>;
  using DP = device_t<P>;
  int64_t blocks = 0;  // that leave partial sums
  const auto split = [&](int64_t most) {
    const int64_t rows_per_block = gpu::ceil_div(rows, std::min(rows, most));
    blocks = gpu::ceil_div(rows, rows_per_block);
    return rows_per_block;
  };
  const auto in_registers = [&]<int kValues> {
    const int64_t rows_per_block = split(int64_t(kResident<kValues>) * gpu::multiprocessors());
    gpu::launch(layer_norm_backward_kernel<DX, DT, DP, kValues>, static_cast<unsigned>(blocks),
                32 * kWarps<kValues>, 0, stream, on_device(x), on_device(weight), mean, rstd,
                on_device(dy), on_device(dresidual), on_device(dx), on_device(dx_rounded),
                workspace, rows, rows_per_block, static_cast<int>(C), images);
  };
  const bool wide = is_vectorised(x, C) && is_vectorised(weight, C) && is_vectorised(dy, C) &&
                    is_vectorised(dresidual, C) && is_vectorised(dx, C) &&
                    is_vectorised(dx_rounded, C);
  if (!wide || C > 48 * 32) {
    gpu::launch(layer_norm_dx_kernel<DX, DT, DP>,
                static_cast<unsigned>(gpu::ceil_div<int64_t>(rows, kAnyWarps)), 32 * kAnyWarps, 0,
                stream, on_device(x), on_device(weight), mean, rstd, on_device(dy),
                on_device(dresidual), on_device(dx), on_device(dx_rounded), rows, C, images);
    const int64_t rows_per_block = split(int64_t(kMostResident) * gpu::multiprocessors());
    const dim3 grid(static_cast<unsigned>(blocks),
                    static_cast<unsigned>(gpu::ceil_div<int64_t>(C, kColumns)));
    gpu::launch(layer_norm_columns_kernel<DX, DT>, grid, kColumns, 0, stream, on_device(x), mean,
                rstd, on_device(dy), workspace, rows, rows_per_block, C, images);
  } else if (C <= 16 * 32) {  // 384
    in_registers.template operator()<16>();
  } else if (C <= 24 * 32) {  // 768
    in_registers.template operator()<24>();
  } else if (C <= 32 * 32) {  // 1024
    in_registers.template operator()<32>();
  } else {  // 1536
    in_registers.template operator()<48>();
  }
  sum_rows<P>(stream, workspace, dweight, dbias, blocks, C);
}

#define FATHOM_INSTANTIATE(X, T, P)                                                               \
  template void layer_norm_backward(CUstream_st*, const X*, const P*, const float*, const float*, \
                                    const T*, const X*, X*, T*, P*, P*, float*, int64_t, int64_t, \
                                    ImageRows);
FATHOM_INSTANTIATE(float, float, float)
FATHOM_INSTANTIATE(float16, float16, float16)
FATHOM_INSTANTIATE(bfloat16, bfloat16, bfloat16)
FATHOM_INSTANTIATE(float, float16, float)
FATHOM_INSTANTIATE(float, bfloat16, float)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
