#include "kernels/cuda/depth_head.h"
#include "core/error.h"
#include "core/gpu.h"
#include "kernels/device/bilinear.cuh"
#include "kernels/device/logistic.cuh"
#include "kernels/device/tile.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Tensor bound with an equal share of instructions: 18 * 32 * F FLOP a pixel, and F interpolations.
// Memory: x once, if its other uses hit the caches, and y. A block makes a tile of 16 x 16 pixels,
// 32 channels of x at a time: it interpolates the tile and the pixels around it in shared memory,
// where ldmatrix reads it nine times, shifted.
constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kTile = 16, kSide = kTile + 2, kRows = kTile / kWarps;  // a warp has four rows
constexpr int kHidden = kDepthHeadHidden;
constexpr int kInner = 32;  // channels of a step
constexpr uint32_t kPatch = kTileElements<kSide * kSide, kInner>;
constexpr uint32_t kWeights = kTileElements<kHidden, 9 * kInner>;
constexpr size_t kSharedBytes = 2 * (kPatch + kWeights);

struct Geometry {
  int h, w, F, H, W;
  Axis vertical, horizontal;
};

template <class E>
struct Last {
  const E *bias1, *weight, *bias;
  bool sigmoid;
  float scale;
};

template <class E>
__global__ void __launch_bounds__(kThreads)
    depth_head_kernel(const E* __restrict__ x, const E* __restrict__ weight, E* __restrict__ y,
                      Geometry g, Last<E> last) {
  gpu::DynamicShared shared;
  E* const patch = shared.take<E>(kPatch);
  E* const weights = shared.take<E>(kWeights);
  GPU_SHARED(rows, Taps[kSide]);
  GPU_SHARED(columns, Taps[kSide]);

  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int first_row = static_cast<int>(blockIdx.y) * kTile,
            first_column = static_cast<int>(blockIdx.x) * kTile;
  x += int64_t(blockIdx.z) * g.h * g.w * g.F;
  if (thread < kSide) {  // outside the resized map are zeros
    const int at = first_row + thread - 1;
    rows[thread] = at >= 0 && at < g.H ? taps(g.vertical, at, g.h) : Taps{-1, -1, 0.0f};
  } else if (thread >= 32 && thread < 32 + kSide) {
    const int at = first_column + thread - 33;
    columns[thread - 32] = at >= 0 && at < g.W ? taps(g.horizontal, at, g.w) : Taps{-1, -1, 0.0f};
  }

  float sum[kRows][kHidden / 8][4] = {};
  for (int first = 0; first < g.F; first += kInner) {
    __syncthreads();  // the taps are there, and the step before is done with
    for (int i = thread; i < kHidden * 9 * kInner / 8; i += kThreads) {
      const int channel = i % (kInner / 8) * 8, row = i / (kInner / 8);  // 9 * output + tap
      const bool inside = first + channel < g.F;
      const E* const source = weight + int64_t(row) * g.F + first + channel;
      gpu::cp_async16(weights + row / 9 * kPitch<9 * kInner> + row % 9 * kInner + channel,
                      inside ? source : weight, inside);
    }
    gpu::cp_async_commit();
    for (int i = thread; i < kSide * kSide * kInner / 8; i += kThreads) {
      const int channel = i % (kInner / 8) * 8, pixel = i / (kInner / 8);
      const Taps down = rows[pixel / kSide], right = columns[pixel % kSide];
      float values[8] = {};
      if (down.first >= 0 && right.first >= 0 && first + channel < g.F) {
        const E* const upper = x + int64_t(down.first) * g.w * g.F + first + channel;
        const E* const lower = x + int64_t(down.second) * g.w * g.F + first + channel;
        float upper_left[8], upper_right[8], lower_left[8], lower_right[8];
        load(upper_left, upper + int64_t(right.first) * g.F);
        load(upper_right, upper + int64_t(right.second) * g.F);
        load(lower_left, lower + int64_t(right.first) * g.F);
        load(lower_right, lower + int64_t(right.second) * g.F);
#pragma unroll
        for (int k = 0; k < 8; ++k)
          values[k] = blend(blend(upper_left[k], upper_right[k], right.weight),
                            blend(lower_left[k], lower_right[k], right.weight), down.weight);
      }
      store(patch + pixel * kPitch<kInner> + channel, values);
    }
    gpu::cp_async_wait<0>();
    __syncthreads();

#pragma unroll
    for (int tap = 0; tap < 9; ++tap)
#pragma unroll
      for (int k = 0; k < kInner / 16; ++k) {
        uint32_t b[kHidden / 16][4];
#pragma unroll
        for (int n = 0; n < kHidden / 16; ++n)
          gpu::ldmatrix_x4(b[n], weights +
                                     (n * 16 + lane / 16 * 8 + lane % 8) * kPitch<9 * kInner> +
                                     tap * kInner + k * 16 + lane / 8 % 2 * 8);
#pragma unroll
        for (int row = 0; row < kRows; ++row) {
          const int pixel = (warp * kRows + row + tap / 3) * kSide + tap % 3 + lane % 16;
          uint32_t a[4];
          gpu::ldmatrix_x4(a, patch + pixel * kPitch<kInner> + k * 16 + lane / 16 * 8);
#pragma unroll
          for (int n = 0; n < kHidden / 16; ++n) {
            gpu::mma_m16n8k16<E>(sum[row][2 * n], a, {b[n][0], b[n][1]});
            gpu::mma_m16n8k16<E>(sum[row][2 * n + 1], a, {b[n][2], b[n][3]});
          }
        }
      }
  }

  // Of a pixel's 32 hidden values four lanes have eight each.
  const float bias = to_float(last.bias[0]);
#pragma unroll
  for (int row = 0; row < kRows; ++row)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float depth = 0.0f;
#pragma unroll
      for (int n = 0; n < kHidden / 8; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int hidden = n * 8 + lane % 4 * 2 + i;
          const float value = sum[row][n][2 * half + i] + to_float(last.bias1[hidden]);
          depth += (value < 0.0f ? 0.0f : value) * to_float(last.weight[hidden]);  // keeps a NaN
        }
      depth += __shfl_xor_sync(gpu::kFullWarp, depth, 1);
      depth += __shfl_xor_sync(gpu::kFullWarp, depth, 2);
      depth += bias;
      depth = last.sigmoid ? logistic(depth) : depth < 0.0f ? 0.0f : depth;
      const int at = first_row + warp * kRows + row, column = first_column + lane / 4 + 8 * half;
      if (lane % 4 == 0 && at < g.H && column < g.W)
        y[(int64_t(blockIdx.z) * g.H + at) * g.W + column] = from_float<E>(last.scale * depth);
    }
}

}  // namespace

template <class E>
void depth_head(CUstream_st* stream, const DepthHead<E>& c) {
  check(c.F % 16 == 0, "depth_head: channels must be multiples of 16, not ", c.F);
  using T = device_t<E>;
  const Geometry geometry{static_cast<int>(c.h),        static_cast<int>(c.w),
                          static_cast<int>(c.F),        static_cast<int>(c.H),
                          static_cast<int>(c.W),        Axis::between(c.h, c.H, true),
                          Axis::between(c.w, c.W, true)};
  const Last<T> last{on_device(c.bias1), on_device(c.weight2), on_device(c.bias2), c.sigmoid,
                     c.scale};
  const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(c.W, kTile)),
                  static_cast<unsigned>(gpu::ceil_div<int64_t>(c.H, kTile)),
                  static_cast<unsigned>(c.B));
  gpu::launch(depth_head_kernel<T>, grid, kThreads, kSharedBytes, stream, on_device(c.x),
              on_device(c.weight1), on_device(c.y), geometry, last);
}

template void depth_head(CUstream_st*, const DepthHead<float16>&);
template void depth_head(CUstream_st*, const DepthHead<bfloat16>&);

}  // namespace fathom::cuda
