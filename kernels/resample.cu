#include "kernels/cuda/resample.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// For small tables (the position embedding), so bound by latency: a thread makes 16 bytes of an
// output pixel; its taps come from the caches.
constexpr int kThreads = 128;

template <int kWide, class T>
__global__ void __launch_bounds__(kThreads)
    resample_kernel(const T* __restrict__ x, DeviceTaps rows, DeviceTaps columns, T* __restrict__ y,
                    int H, int W, int C, int width) {
  const int groups = C / kWide;
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (thread >= int64_t(width) * groups) return;
  const int column = static_cast<int>(thread / groups),
            c = static_cast<int>(thread % groups) * kWide, line = static_cast<int>(blockIdx.y);
  x += int64_t(blockIdx.z) * H * W * C + c;
  float sums[kWide] = {};
  for (int q = columns.begin[column]; q < columns.begin[column + 1]; ++q) {
    float down[kWide] = {};
    for (int p = rows.begin[line]; p < rows.begin[line + 1]; ++p) {
      float values[kWide];
      load(values, x + (int64_t(rows.index[p]) * W + columns.index[q]) * C);
#pragma unroll
      for (int k = 0; k < kWide; ++k) down[k] += rows.weight[p] * values[k];
    }
#pragma unroll
    for (int k = 0; k < kWide; ++k) sums[k] += columns.weight[q] * down[k];
  }
  store(y + ((int64_t(blockIdx.z) * gridDim.y + line) * width + column) * C + c, sums);
}

}  // namespace

template <class T>
void resample(CUstream_st* stream, const T* x, const DeviceTaps& rows, const DeviceTaps& columns,
              T* y, int64_t B, int64_t H, int64_t W, int64_t C, int64_t height, int64_t width) {
  const auto run = [&]<int kWide> {
    const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(width * (C / kWide), kThreads)),
                    static_cast<unsigned>(height), static_cast<unsigned>(B));
    gpu::launch(resample_kernel<kWide, device_t<T>>, grid, kThreads, 0, stream, on_device(x), rows,
                columns, on_device(y), static_cast<int>(H), static_cast<int>(W),
                static_cast<int>(C), static_cast<int>(width));
  };
  if (is_vectorised(x, C) && is_vectorised(y, C))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

#define FATHOM_INSTANTIATE(T)                                                              \
  template void resample(CUstream_st*, const T*, const DeviceTaps&, const DeviceTaps&, T*, \
                         int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
