#include "kernels/cuda/bilinear.h"
#include "core/gpu.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: reads each input pixel from memory once (its other uses hit the caches) and writes
// each output pixel. A thread makes 16 bytes of one output pixel; a block a stretch of one row.
constexpr int kThreads = 128;

// Where an output pixel samples the input, along one axis.
struct Axis {
  float scale, shift;  // position = scale * (i + shift) - shift

  static Axis between(int64_t from, int64_t to, bool align_corners) {
    if (!align_corners) return {static_cast<float>(from) / static_cast<float>(to), 0.5f};
    return {to > 1 ? static_cast<float>(from - 1) / static_cast<float>(to - 1) : 0.0f, 0.0f};
  }
};

struct Taps {
  int first, second;
  float weight;  // of the second
};

__device__ Taps taps(Axis axis, int i, int size) {
  const float at = fmaxf(axis.scale * (static_cast<float>(i) + axis.shift) - axis.shift, 0.0f);
  const int first = min(static_cast<int>(at), size - 1);
  return {first, min(first + 1, size - 1), at - static_cast<float>(first)};
}

// An exact hit is a copy, even beside an infinity.
__device__ float blend(float first, float second, float weight) {
  return weight == 0.0f ? first : first * (1.0f - weight) + second * weight;
}

template <class T, int kWide>
__global__ void __launch_bounds__(kThreads)
    bilinear_kernel(const T* __restrict__ x, T* __restrict__ y, int H, int W, int C, int width,
                    Axis vertical, Axis horizontal) {
  const int groups = C / kWide;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= int64_t(width) * groups) return;
  const int column = static_cast<int>(i / groups), c = static_cast<int>(i % groups) * kWide;
  const Taps down = taps(vertical, static_cast<int>(blockIdx.y), H);
  const Taps right = taps(horizontal, column, W);

  x += int64_t(blockIdx.z) * H * W * C + c;
  y += ((int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * width + column) * C + c;
  const T* const upper = x + int64_t(down.first) * W * C;
  const T* const lower = x + int64_t(down.second) * W * C;
  float upper_left[kWide], upper_right[kWide], lower_left[kWide], lower_right[kWide];
  load(upper_left, upper + int64_t(right.first) * C);
  load(upper_right, upper + int64_t(right.second) * C);
  load(lower_left, lower + int64_t(right.first) * C);
  load(lower_right, lower + int64_t(right.second) * C);

  float result[kWide];
#pragma unroll
  for (int k = 0; k < kWide; ++k) {
    const float top = blend(upper_left[k], upper_right[k], right.weight);
    const float bottom = blend(lower_left[k], lower_right[k], right.weight);
    result[k] = blend(top, bottom, down.weight);
  }
  store(y, result);
}

}  // namespace

template <class T>
void bilinear_forward(CUstream_st* stream, const T* x, T* y, int64_t B, int64_t H, int64_t W,
                      int64_t C, int64_t height, int64_t width, bool align_corners) {
  const Axis vertical = Axis::between(H, height, align_corners);
  const Axis horizontal = Axis::between(W, width, align_corners);
  const auto run = [&]<int kWide> {
    const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(width * (C / kWide), kThreads)),
                    static_cast<unsigned>(height), static_cast<unsigned>(B));
    gpu::launch(bilinear_kernel<device_t<T>, kWide>, grid, kThreads, 0, stream, on_device(x),
                on_device(y), static_cast<int>(H), static_cast<int>(W), static_cast<int>(C),
                static_cast<int>(width), vertical, horizontal);
  };
  if (is_vectorised(x, C) && is_vectorised(y, C))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

#define FATHOM_INSTANTIATE(T)                                                                    \
  template void bilinear_forward(CUstream_st*, const T*, T*, int64_t, int64_t, int64_t, int64_t, \
                                 int64_t, int64_t, bool);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
