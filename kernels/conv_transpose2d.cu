#include "kernels/cuda/conv_transpose2d.h"
#include "core/gpu.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

constexpr int kThreads = 256;

enum class To { kMap, kBlocks };

// Memory bound: each element is read and written once, kWide channels a thread. Threads follow the
// map; runs of s * O elements are contiguous in both.
template <class T, int kWide, To kTo>
__global__ void __launch_bounds__(kThreads)
    reorder_kernel(const T* __restrict__ from, const T* __restrict__ bias, T* __restrict__ to,
                   int H, int W, int s, int O, int64_t pieces) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= pieces) return;
  const int groups = O / kWide;
  int64_t rest = i;
  const int o = static_cast<int>(rest % groups) * kWide;
  rest /= groups;
  const int column = static_cast<int>(rest % (s * W));
  rest /= s * W;
  const int row = static_cast<int>(rest % (s * H));
  const int64_t image = rest / (s * H);
  const int64_t pixel = (image * H + row / s) * W + column / s;
  const int64_t at_block = ((pixel * s + row % s) * s + column % s) * O + o;
  float values[kWide];
  load(values, from + (kTo == To::kMap ? at_block : i * kWide));
  if (bias != nullptr) {
    float add[kWide];
    load(add, bias + o);
#pragma unroll
    for (int k = 0; k < kWide; ++k) values[k] += add[k];
  }
  store(to + (kTo == To::kMap ? i * kWide : at_block), values);
}

template <To kTo, class T>
void reorder(CUstream_st* stream, const T* from, const T* bias, T* to, int64_t B, int64_t H,
             int64_t W, int64_t s, int64_t O) {
  const int64_t count = B * H * W * s * s * O;
  const auto run = [&]<int kWide> {
    const auto blocks = static_cast<unsigned>(gpu::ceil_div<int64_t>(count / kWide, kThreads));
    gpu::launch(reorder_kernel<device_t<T>, kWide, kTo>, blocks, kThreads, 0, stream,
                on_device(from), on_device(bias), on_device(to), static_cast<int>(H),
                static_cast<int>(W), static_cast<int>(s), static_cast<int>(O), count / kWide);
  };
  if (is_vectorised(from, O) && is_vectorised(to, O) && is_vectorised(bias, O))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

}  // namespace

template <class T>
void blocks_to_map(CUstream_st* stream, const T* blocks, const T* bias, T* map, int64_t B,
                   int64_t H, int64_t W, int64_t s, int64_t O) {
  reorder<To::kMap>(stream, blocks, bias, map, B, H, W, s, O);
}

template <class T>
void map_to_blocks(CUstream_st* stream, const T* map, T* blocks, int64_t B, int64_t H, int64_t W,
                   int64_t s, int64_t O) {
  reorder<To::kBlocks, T>(stream, map, nullptr, blocks, B, H, W, s, O);
}

#define FATHOM_INSTANTIATE(T)                                                                  \
  template void blocks_to_map(CUstream_st*, const T*, const T*, T*, int64_t, int64_t, int64_t, \
                              int64_t, int64_t);                                               \
  template void map_to_blocks(CUstream_st*, const T*, T*, int64_t, int64_t, int64_t, int64_t,  \
                              int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
