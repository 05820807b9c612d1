#include "kernels/cuda/patchify.h"

#include "core/gpu.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: each element of the map once and each of the rows once. A thread makes eight
// elements of a row; a patch's row of pixels does not begin at 16 bytes, so they are read one by
// one.
constexpr int kThreads = 256, kWide = 8;

template <class T>
__global__ void __launch_bounds__(kThreads)
    patchify_kernel(const T* __restrict__ x, T* __restrict__ rows, int patches_wide, int C, int p,
                    int columns, int64_t pieces) {
  const int64_t piece = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (piece >= pieces) return;
  const int groups = columns / kWide, run = p * C;                   // of a patch's row of pixels
  const int64_t patch = piece / groups, row = patch / patches_wide;  // row of patches
  const int first = static_cast<int>(piece % groups) * kWide;
  x += row * p * patches_wide * run + patch % patches_wide * run;

  float values[kWide] = {};
  int line = first / run, at = first % run;
#pragma unroll
  for (int i = 0; i < kWide; ++i) {
    if (line < p) values[i] = to_float(x[int64_t(line) * patches_wide * run + at]);
    if (++at == run) at = 0, ++line;
  }
  store(rows + patch * columns + first, values);
}

}  // namespace

template <class T>
void patchify(CUstream_st* stream, const T* x, T* rows, int64_t B, int64_t H, int64_t W, int64_t C,
              int64_t p) {
  const int64_t columns = patch_columns(p, C), pieces = B * (H / p) * (W / p) * columns / kWide;
  gpu::launch(patchify_kernel<device_t<T>>,
              dim3(static_cast<unsigned>(gpu::ceil_div<int64_t>(pieces, kThreads))), kThreads, 0,
              stream, on_device(x), on_device(rows), static_cast<int>(W / p), static_cast<int>(C),
              static_cast<int>(p), static_cast<int>(columns), pieces);
}

#define FATHOM_INSTANTIATE(T) \
  template void patchify(CUstream_st*, const T*, T*, int64_t, int64_t, int64_t, int64_t, int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
