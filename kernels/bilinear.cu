#include "kernels/cuda/bilinear.h"
#include "core/gpu.h"
#include "kernels/device/bilinear.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: reads each input pixel from memory once (its other uses hit the caches) and writes
// each output pixel. A thread makes 16 bytes of one output pixel; a block a stretch of one row.
constexpr int kThreads = 128;

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

// ---- the adjoint: reads each output pixel from memory once (its other uses, three or four, hit
// the caches) and writes each input pixel. A thread makes 16 bytes of one input pixel.

// The outputs that can have input pixel i as a tap: a range with a margin for rounding, whose ends
// weight_of() sorts out.
struct Range {
  int begin, end;
};

__device__ Range outputs_of(Axis axis, int i, int outputs) {
  if (!(axis.scale > 0.0f)) return {0, outputs};
  const float at = static_cast<float>(i) + axis.shift;
  const int low = static_cast<int>((at - 1.0f) / axis.scale - axis.shift) - 1;
  const int high = static_cast<int>((at + 1.0f) / axis.scale - axis.shift) + 2;
  return {max(low, 0), min(high, outputs)};
}

// The weight that the forward pass gave input pixel i in output o.
__device__ float weight_of(Axis axis, int i, int o, int inputs) {
  const Taps t = taps(axis, o, inputs);
  return (t.first == i ? 1.0f - t.weight : 0.0f) + (t.second == i ? t.weight : 0.0f);
}

template <class T, int kWide>
__global__ void __launch_bounds__(kThreads)
    bilinear_backward_kernel(const T* __restrict__ dy, T* __restrict__ dx, int H, int W, int C,
                             int height, int width, Axis vertical, Axis horizontal) {
  const int groups = C / kWide;
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (thread >= int64_t(W) * groups) return;
  const int x = static_cast<int>(thread / groups), c = static_cast<int>(thread % groups) * kWide;
  const int y = static_cast<int>(blockIdx.y);
  const Range rows = outputs_of(vertical, y, height);
  Range columns = outputs_of(horizontal, x, width);
  while (columns.begin < columns.end && weight_of(horizontal, x, columns.begin, W) == 0.0f)
    ++columns.begin;
  while (columns.begin < columns.end && weight_of(horizontal, x, columns.end - 1, W) == 0.0f)
    --columns.end;

  dy += int64_t(blockIdx.z) * height * width * C + c;
  float sums[kWide] = {};
  for (int i = rows.begin; i < rows.end; ++i) {
    const float down = weight_of(vertical, y, i, H);
    if (down == 0.0f) continue;  // as in the forward pass, a zero weight is no tap
    const T* const row = dy + int64_t(i) * width * C;
#pragma unroll 4
    for (int j = columns.begin; j < columns.end; ++j) {
      const float weight = down * weight_of(horizontal, x, j, W);
      float values[kWide];
      load(values, row + int64_t(j) * C);
#pragma unroll
      for (int k = 0; k < kWide; ++k) sums[k] += weight * values[k];
    }
  }
  store(dx + ((int64_t(blockIdx.z) * H + y) * W + x) * C + c, sums);
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

template <class T>
void bilinear_backward(CUstream_st* stream, const T* dy, T* dx, int64_t B, int64_t H, int64_t W,
                       int64_t C, int64_t height, int64_t width, bool align_corners) {
  const auto run = [&]<int kWide> {
    const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(W * (C / kWide), kThreads)),
                    static_cast<unsigned>(H), static_cast<unsigned>(B));
    gpu::launch(bilinear_backward_kernel<device_t<T>, kWide>, grid, kThreads, 0, stream,
                on_device(dy), on_device(dx), static_cast<int>(H), static_cast<int>(W),
                static_cast<int>(C), static_cast<int>(height), static_cast<int>(width),
                Axis::between(H, height, align_corners), Axis::between(W, width, align_corners));
  };
  if (is_vectorised(dy, C) && is_vectorised(dx, C))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

#define FATHOM_INSTANTIATE(T)                                                                     \
  template void bilinear_forward(CUstream_st*, const T*, T*, int64_t, int64_t, int64_t, int64_t,  \
                                 int64_t, int64_t, bool);                                         \
  template void bilinear_backward(CUstream_st*, const T*, T*, int64_t, int64_t, int64_t, int64_t, \
                                  int64_t, int64_t, bool);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
