#include "kernels/cuda/conv3x3.h"

#include "core/error.h"
#include "core/gpu.h"
#include "kernels/device/tile.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Tensor bound: 18 * I FLOP an output value. A product [pixels, 9 * I] by [9 * I, O] whose left
// matrix is never in memory: each 16 bytes of it, eight channels, come from the pixel that their
// tap points at, or are zeros outside the map.
constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kPixels = 128, kRows = kPixels / kWarps;  // of a block, of a warp
constexpr int kOutputs = 64;                            // of a block
constexpr int kInner = 32;                              // of a step
constexpr int kStages = 3;
constexpr uint32_t kPixelTile = kTileElements<kPixels, kInner>;
constexpr uint32_t kWeightTile = kTileElements<kOutputs, kInner>;
constexpr size_t kSharedBytes = 2 * kStages * (kPixelTile + kWeightTile);
static_assert(kWarps * kTileElements<16, kOutputs> <= kStages * kPixelTile);  // for the result

struct Shape {
  int H, W, I, O;
  int64_t pixels;  // B * H * W
};

template <class E>
struct Epilogue {
  const E *bias, *residual, *residual2, *mask;
  bool relu;
};

template <class E>
__global__ void __launch_bounds__(kThreads)
    conv3x3_kernel(const E* __restrict__ x, const E* __restrict__ weight, E* __restrict__ y,
                   Shape shape, bool relu_input, Epilogue<E> epilogue) {
  gpu::DynamicShared shared;
  E* const pixel_tiles = shared.take<E>(kStages * kPixelTile);
  E* const weight_tiles = shared.take<E>(kStages * kWeightTile);

  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int64_t first_pixel = int64_t(blockIdx.x) * kPixels;
  const int first_output = static_cast<int>(blockIdx.y) * kOutputs;
  const int K = 9 * shape.I, steps = gpu::ceil_div(K, kInner);

  // A thread copies the same eight of 32 inner values of each step, for every 32nd row.
  constexpr int kChunks = kInner / 8, kStride = kThreads / kChunks;
  const int row = thread / kChunks, chunk = thread % kChunks * 8;
  int h[kPixels / kStride], w[kPixels / kStride];
#pragma unroll
  for (int i = 0; i < kPixels / kStride; ++i) {
    const int64_t pixel = first_pixel + row + i * kStride;
    w[i] = static_cast<int>(pixel % shape.W);
    h[i] = pixel < shape.pixels ? static_cast<int>(pixel / shape.W % shape.H) : -2;  // no tap's
  }
  int k = chunk, tap = 0, channel = chunk;  // k = tap * I + channel
  const auto copy = [&](int stage) {
    for (; channel >= shape.I; channel -= shape.I) ++tap;
    const int down = tap / 3 - 1, right = tap % 3 - 1;
#pragma unroll
    for (int i = 0; i < kPixels / kStride; ++i) {
      const bool inside = k < K && static_cast<unsigned>(h[i] + down) < unsigned(shape.H) &&
                          static_cast<unsigned>(w[i] + right) < unsigned(shape.W);
      const int64_t pixel = first_pixel + row + i * kStride + down * shape.W + right;
      gpu::cp_async16(
          pixel_tiles + stage * kPixelTile + (row + i * kStride) * kPitch<kInner> + chunk,
          inside ? x + pixel * shape.I + channel : x, inside);
    }
#pragma unroll
    for (int i = 0; i < kOutputs / kStride; ++i) {
      const int output = first_output + row + i * kStride;
      const bool inside = k < K && output < shape.O;
      gpu::cp_async16(
          weight_tiles + stage * kWeightTile + (row + i * kStride) * kPitch<kInner> + chunk,
          inside ? weight + int64_t(output) * K + k : weight, inside);
    }
    k += kInner, channel += kInner;
  };

  float sum[2][kOutputs / 8][4] = {};
#pragma unroll
  for (int stage = 0; stage < kStages - 1; ++stage) {
    if (stage < steps) copy(stage);
    gpu::cp_async_commit();
  }
  for (int step = 0; step < steps; ++step) {
    gpu::cp_async_wait<kStages - 2>();
    __syncthreads();  // this step's tiles have come, and those of the step before are free
    if (step + kStages - 1 < steps) copy((step + kStages - 1) % kStages);
    gpu::cp_async_commit();

    const E* const rows = pixel_tiles + step % kStages * kPixelTile + warp * kRows * kPitch<kInner>;
    const E* const outputs = weight_tiles + step % kStages * kWeightTile;
    uint32_t a[2][kInner / 16][4];
    load_rows(a[0], rows);
    load_rows(a[1], rows + 16 * kPitch<kInner>);
    if (relu_input)
#pragma unroll
      for (int i = 0; i < 2 * kInner / 4; ++i) {
        uint32_t& pair = a[i / (kInner / 4)][i / 4 % (kInner / 16)][i % 4];
        pair = relu2<E>(pair);
      }
#pragma unroll
    for (int d = 0; d < kInner / 16; ++d)
#pragma unroll
      for (int n = 0; n < kOutputs / 16; ++n) {
        uint32_t r[4];
        gpu::ldmatrix_x4(r, outputs + (n * 16 + lane / 16 * 8 + lane % 8) * kPitch<kInner> +
                                d * 16 + lane / 8 % 2 * 8);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          gpu::mma_m16n8k16<E>(sum[half][2 * n], a[half][d], {r[0], r[1]});
          gpu::mma_m16n8k16<E>(sum[half][2 * n + 1], a[half][d], {r[2], r[3]});
        }
      }
  }
  gpu::cp_async_wait<0>();
  __syncthreads();  // the tiles are free for the result

  const int outputs = min(kOutputs, shape.O - first_output);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t first = first_pixel + warp * kRows + 16 * half;
    const auto at = [&](const E* map, int n, int i, float& low, float& high) {  // two channels
      const int64_t pixel = first + lane / 4 + 4 * i;
      low = high = 0.0f;
      if (pixel < shape.pixels)
        gpu::unpack2<E>(*reinterpret_cast<const uint32_t*>(map + pixel * shape.O + first_output +
                                                           n * 8 + lane % 4 * 2),
                        low, high);
    };
    const auto add = [&](const E* map, int n, int i) {
      float low, high;
      at(map, n, i, low, high);
      sum[half][n][i] += low, sum[half][n][i + 1] += high;
    };
#pragma unroll
    for (int n = 0; n < kOutputs / 8; ++n) {
      if (n * 8 >= outputs) continue;
      const int output = first_output + n * 8 + lane % 4 * 2;
#pragma unroll
      for (int i = 0; i < 4; i += 2) {
        if (epilogue.bias != nullptr) {
          sum[half][n][i] += to_float(epilogue.bias[output]);
          sum[half][n][i + 1] += to_float(epilogue.bias[output + 1]);
        }
        if (epilogue.relu) {  // of a NaN too: comparisons keep it
          if (sum[half][n][i] < 0.0f) sum[half][n][i] = 0.0f;
          if (sum[half][n][i + 1] < 0.0f) sum[half][n][i + 1] = 0.0f;
        }
        if (epilogue.residual != nullptr) add(epilogue.residual, n, i);
        if (epilogue.residual2 != nullptr) add(epilogue.residual2, n, i);
        if (epilogue.mask != nullptr) {
          float low, high;
          at(epilogue.mask, n, i, low, high);
          if (!(low > 0.0f)) sum[half][n][i] = 0.0f;
          if (!(high > 0.0f)) sum[half][n][i + 1] = 0.0f;
        }
      }
    }
    store_rows(pixel_tiles + warp * kTileElements<16, kOutputs>, sum[half], {1.0f, 1.0f},
               y + first_output, first, shape.pixels, shape.O, outputs);
    __syncwarp();  // before the other half takes the same place
  }
}

constexpr int kFlipThreads = 256;

template <class E>
__global__ void __launch_bounds__(kFlipThreads)
    conv3x3_flip_kernel(const E* __restrict__ weight, E* __restrict__ flipped, int O, int I) {
  const int at = static_cast<int>(blockIdx.x) * kFlipThreads + static_cast<int>(threadIdx.x);
  if (at >= 9 * O * I) return;
  const int o = at % O, tap = at / O % 9, i = at / O / 9;
  flipped[at] = weight[(o * 9 + 8 - tap) * I + i];
}

}  // namespace

template <class E>
void conv3x3_forward(CUstream_st* stream, const Conv3x3<E>& c) {
  check(c.I % 16 == 0 && c.O % 16 == 0, "conv3x3: channels must be multiples of 16, not ", c.I,
        " in and ", c.O, " out");
  using T = device_t<E>;
  const Shape shape{static_cast<int>(c.H), static_cast<int>(c.W), static_cast<int>(c.I),
                    static_cast<int>(c.O), c.B * c.H * c.W};
  const Epilogue<T> epilogue{on_device(c.bias), on_device(c.residual), on_device(c.residual2),
                             on_device(c.mask), c.relu};
  const dim3 grid(static_cast<unsigned>(gpu::ceil_div<int64_t>(shape.pixels, kPixels)),
                  static_cast<unsigned>(gpu::ceil_div(shape.O, kOutputs)));
  gpu::launch(conv3x3_kernel<T>, grid, kThreads, kSharedBytes, stream, on_device(c.x),
              on_device(c.weight), on_device(c.y), shape, c.relu_input, epilogue);
}

template <class E>
void conv3x3_flip(CUstream_st* stream, const E* weight, E* flipped, int64_t O, int64_t I) {
  gpu::launch(conv3x3_flip_kernel<device_t<E>>,
              dim3(static_cast<unsigned>(gpu::ceil_div<int64_t>(9 * O * I, kFlipThreads))),
              kFlipThreads, 0, stream, on_device(weight), on_device(flipped), static_cast<int>(O),
              static_cast<int>(I));
}

#define FATHOM_INSTANTIATE(E)                                     \
  template void conv3x3_forward(CUstream_st*, const Conv3x3<E>&); \
  template void conv3x3_flip(CUstream_st*, const E*, E*, int64_t, int64_t);
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
