#include "kernels/cuda/reduce.h"

#include <algorithm>

#include "core/gpu.h"
#include "kernels/device/block.cuh"
#include "kernels/device/sum_rows.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: every element is read once, 16 bytes at a time. The partial results, one a block or
// one row a block, are at most 1 / 128 of the input.
constexpr int kThreads = 256;

// ---- to a scalar

constexpr int64_t kPiece = 1 << 13;  // elements of a block: 32 a thread in float

template <int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    sum_kernel(const T* __restrict__ x, double* __restrict__ pieces, int64_t N) {
  x += blockIdx.x * kPiece;
  const int thread = static_cast<int>(threadIdx.x),
            count = static_cast<int>(min(kPiece, N - blockIdx.x * kPiece)),
            whole = count / kWide * kWide;
  float sums[kWide] = {};
#pragma unroll 4
  for (int i = thread * kWide; i < whole; i += kThreads * kWide) {
    float values[kWide];
    load(values, x + i);
#pragma unroll
    for (int k = 0; k < kWide; ++k) sums[k] += values[k];
  }
  if (whole + thread < count) sums[0] += to_float(x[whole + thread]);
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < kWide; ++k) sum += sums[k];
  sum = block_sum<kThreads>(sum);
  if (thread == 0) pieces[blockIdx.x] = double(sum);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_pieces_kernel(const double* __restrict__ pieces, double scale, T* __restrict__ y,
                      int64_t count) {
  double sum = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += pieces[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) y[0] = from_float<T>(static_cast<float>(sum * scale));
}

template <int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    broadcast_kernel(const T* __restrict__ dy, float scale, T* __restrict__ dx, int64_t N) {
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x, vectors = N / kWide;
  float values[kWide];
#pragma unroll
  for (int i = 0; i < kWide; ++i) values[i] = to_float(dy[0]) * scale;
  if (thread < vectors) store(dx + thread * kWide, values);
  const int64_t behind = vectors * kWide + thread;
  if (behind < N) dx[behind] = from_float<T>(values[0]);
}

// ---- to a row

// A block of 2^lanes_log2 vectors of columns by kThreads / lanes rows walks down the rows of its
// slice. Few columns make few lanes, so that every thread has work.
constexpr int kMostLanesLog2 = 4;

template <bool kDot, int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    columns_kernel(const T* __restrict__ x, const T* __restrict__ y, float* __restrict__ partial,
                   int64_t rows, int64_t C, int64_t slice, int lanes_log2) {
  GPU_SHARED(sums, float[kThreads * kWide]);  // [line, kWide, lanes]: no two lanes share a bank
  const int lanes = 1 << lanes_log2, lines = kThreads >> lanes_log2;
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1),
            line = static_cast<int>(threadIdx.x) >> lanes_log2;
  const int64_t left = int64_t(blockIdx.x) * lanes * kWide, c = left + lane * kWide;
  const int64_t begin = blockIdx.y * slice, end = min(begin + slice, rows);

  float own[kWide] = {};
  if (c < C)
#pragma unroll 4
    for (int64_t row = begin + line; row < end; row += lines) {
      float a[kWide], b[kWide];
      load(a, x + row * C + c);
      if constexpr (kDot) load(b, y + row * C + c);
#pragma unroll
      for (int i = 0; i < kWide; ++i) own[i] += kDot ? a[i] * b[i] : a[i];
    }
#pragma unroll
  for (int i = 0; i < kWide; ++i) sums[(line * kWide + i) * lanes + lane] = own[i];
  __syncthreads();

  const int column = static_cast<int>(threadIdx.x);
  if (column >= lanes * kWide || left + column >= C) return;
  float total = 0.0f;
  for (int l = 0; l < lines; ++l)
    total += sums[(l * kWide + column % kWide) * lanes + column / kWide];
  partial[blockIdx.y * C + left + column] = total;
}

int64_t slice_of(int64_t rows) { return std::max<int64_t>(128, gpu::ceil_div<int64_t>(rows, 512)); }

template <bool kDot, class T, class O>
void reduce_columns(CUstream_st* stream, const T* x, const T* y, O* out, float* workspace,
                    int64_t rows, int64_t C) {
  const int64_t slice = slice_of(rows), slices = gpu::ceil_div(rows, slice);
  const auto run = [&]<int kWide> {
    const int64_t vectors = C / kWide;
    int log2 = 0;
    while (log2 < kMostLanesLog2 && (1 << log2) < vectors) ++log2;
    const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(vectors, 1 << log2)),
                    static_cast<unsigned>(slices));
    gpu::launch(columns_kernel<kDot, kWide, device_t<T>>, grid, kThreads, 0, stream, on_device(x),
                on_device(y), workspace, rows, C, slice, log2);
  };
  if (is_vectorised(x, C) && (!kDot || is_vectorised(y, C)))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
  sum_rows<O>(stream, workspace, out, nullptr, slices, C);
}

}  // namespace

int64_t sum_workspace(int64_t N) { return gpu::ceil_div(N, kPiece); }

template <class T>
void sum(CUstream_st* stream, const T* x, double scale, T* y, double* workspace, int64_t N) {
  const int64_t pieces = sum_workspace(N);
  const auto run = [&]<int kWide> {
    gpu::launch(sum_kernel<kWide, device_t<T>>, static_cast<unsigned>(pieces), kThreads, 0, stream,
                on_device(x), workspace, N);
  };
  if (is_vectorised(x, 0))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
  gpu::launch(sum_pieces_kernel<device_t<T>>, 1, kThreads, 0, stream, workspace, scale,
              on_device(y), pieces);
}

template <class T>
void sum_backward(CUstream_st* stream, const T* dy, double scale, T* dx, int64_t N) {
  const auto run = [&]<int kWide> {
    const int64_t threads = gpu::ceil_div<int64_t>(N, kWide);
    gpu::launch(broadcast_kernel<kWide, device_t<T>>,
                static_cast<unsigned>(gpu::ceil_div<int64_t>(threads, kThreads)), kThreads, 0,
                stream, on_device(dy), static_cast<float>(scale), on_device(dx), N);
  };
  if (is_vectorised(dx, 0))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

int64_t column_workspace(int64_t rows, int64_t C) {
  return gpu::ceil_div(rows, slice_of(rows)) * C;
}

template <class T, class O>
void column_sum(CUstream_st* stream, const T* x, O* out, float* workspace, int64_t rows,
                int64_t C) {
  reduce_columns<false, T>(stream, x, nullptr, out, workspace, rows, C);
}

template <class T>
void column_dot(CUstream_st* stream, const T* x, const T* y, T* out, float* workspace, int64_t rows,
                int64_t C) {
  reduce_columns<true>(stream, x, y, out, workspace, rows, C);
}

#define FATHOM_INSTANTIATE(T)                                                     \
  template void sum(CUstream_st*, const T*, double, T*, double*, int64_t);        \
  template void sum_backward(CUstream_st*, const T*, double, T*, int64_t);        \
  template void column_sum(CUstream_st*, const T*, T*, float*, int64_t, int64_t); \
  template void column_dot(CUstream_st*, const T*, const T*, T*, float*, int64_t, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE
template void column_sum(CUstream_st*, const float16*, float*, float*, int64_t, int64_t);
template void column_sum(CUstream_st*, const bfloat16*, float*, float*, int64_t, int64_t);

}  // namespace fathom::cuda
