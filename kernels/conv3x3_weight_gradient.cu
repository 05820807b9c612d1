#include <algorithm>

#include "core/error.h"
#include "core/gpu.h"
#include "kernels/cuda/conv3x3.h"
#include "kernels/device/sum_rows.cuh"
#include "kernels/device/tile.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Tensor bound: 18 * I * O FLOP a pixel. A product [O, pixels] by [pixels, 9 * I] whose right
// matrix is never in memory: a block keeps the gradient of kOutputs outputs, nine taps and
// kChannels channels in registers and walks down a strip of the map, 32 pixels wide. Three rows of
// the strip are in shared memory, so every pixel is read once and serves nine taps: ldmatrix starts
// at any pixel, which makes the shifts free.
constexpr int kStrip = 32, kPixels = kStrip + 2;  // of dy, and of x with both neighbours
constexpr int kRows = 5;       // of x in shared memory: three in use, two on their way
constexpr int kGradients = 3;  // of dy: one in use, two on their way
constexpr int kAhead = 2;      // rows
constexpr int kWarpOutputs = 32, kWarpChannels = 16;

template <int kOutputs, int kChannels>
constexpr int kThreads = 32 * (kOutputs / kWarpOutputs) * (kChannels / kWarpChannels);
template <int kOutputs, int kChannels>
constexpr size_t kSharedBytes = 2 * (kRows * kTileElements<kPixels, kChannels> +
                                     kGradients * kTileElements<kStrip, kOutputs>);

struct Shape {
  int H, W, I, O, strips;
  int64_t units;  // rows of strips: B * strips * H
};

// The rows of x that a slice of units needs, strip after strip: for its units h0..h1 - 1 in a
// strip, the rows h0 - 1..h1, of which each from the third on completes a unit.
struct Walk {
  int64_t unit, end;
  int height, row, last = 0;
  int64_t first_pixel = 0;  // of the image
  int column = 0;           // of the strip's first pixel
  int first = 0;

  __device__ Walk(int64_t begin, int64_t end, const Shape& shape)
      : unit(begin), end(end), height(shape.H), row(0) {
    if (unit < end) enter(shape);
  }
  __device__ void enter(const Shape& shape) {
    first = static_cast<int>(unit % height);
    const int64_t strip = unit / height;
    column = static_cast<int>(strip % shape.strips) * kStrip;
    first_pixel = strip / shape.strips * height * shape.W;
    last = static_cast<int>(min(int64_t(height), first + (end - unit)));
    row = first - 1;
  }
  __device__ bool done() const { return unit >= end; }
  __device__ bool completes_unit() const { return row > first; }
  __device__ void next(const Shape& shape) {
    if (row++ < last) return;
    unit += last - first;
    if (unit < end) enter(shape);
  }
};

template <class E, int kOutputs, int kChannels>
__global__ void __launch_bounds__((kThreads<kOutputs, kChannels>))
    conv3x3_weight_gradient_kernel(const E* __restrict__ x, const E* __restrict__ dy,
                                   float* __restrict__ dweight, Shape shape, int64_t units_of_slice,
                                   bool relu_input) {
  constexpr int kBlock = kThreads<kOutputs, kChannels>;
  constexpr uint32_t kRowTile = kTileElements<kPixels, kChannels>;
  constexpr uint32_t kGradientTile = kTileElements<kStrip, kOutputs>;
  gpu::DynamicShared shared;
  E* const row_tiles = shared.take<E>(kRows * kRowTile);
  E* const gradient_tiles = shared.take<E>(kGradients * kGradientTile);

  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int first_channel = static_cast<int>(blockIdx.y) * kChannels;
  const int first_output = static_cast<int>(blockIdx.z) * kOutputs;
  const int64_t begin = blockIdx.x * units_of_slice;
  const int64_t end = min(begin + units_of_slice, shape.units);

  Walk ahead(begin, end, shape), walk = ahead;
  const auto copy = [&](int step) {  // the next row of x, and of dy the one above it
    if (ahead.done()) return;
    E* const tile = row_tiles + step % kRows * kRowTile;
    for (int i = thread; i < kPixels * kChannels / 8; i += kBlock) {
      const int pixel = i / (kChannels / 8), channel = i % (kChannels / 8) * 8;
      const int w = ahead.column + pixel - 1;
      const bool inside = static_cast<unsigned>(ahead.row) < unsigned(shape.H) &&
                          static_cast<unsigned>(w) < unsigned(shape.W) &&
                          first_channel + channel < shape.I;
      const E* const source = x + (ahead.first_pixel + int64_t(ahead.row) * shape.W + w) * shape.I +
                              first_channel + channel;
      gpu::cp_async16(tile + pixel * kPitch<kChannels> + channel, inside ? source : x, inside);
    }
    if (ahead.completes_unit()) {
      E* const gradient = gradient_tiles + step % kGradients * kGradientTile;
      for (int i = thread; i < kStrip * kOutputs / 8; i += kBlock) {
        const int pixel = i / (kOutputs / 8), output = i % (kOutputs / 8) * 8;
        const int w = ahead.column + pixel;
        const bool inside = w < shape.W && first_output + output < shape.O;
        const E* const source =
            dy + (ahead.first_pixel + int64_t(ahead.row - 1) * shape.W + w) * shape.O +
            first_output + output;
        gpu::cp_async16(gradient + pixel * kPitch<kOutputs> + output, inside ? source : dy, inside);
      }
    }
    ahead.next(shape);
  };

  const int output = warp % (kOutputs / kWarpOutputs) * kWarpOutputs;
  const int channel = warp / (kOutputs / kWarpOutputs) * kWarpChannels;
  const bool has_work = first_output + output < shape.O && first_channel + channel < shape.I;

  float sum[2][18][4] = {};  // of 16 outputs each: two times eight channels a tap
#pragma unroll
  for (int step = 0; step < kAhead; ++step) {
    copy(step);
    gpu::cp_async_commit();
  }
  for (int step = 0; !walk.done(); ++step) {
    gpu::cp_async_wait<kAhead - 1>();
    __syncthreads();  // this step's rows have come, and the oldest ones are free
    copy(step + kAhead);
    gpu::cp_async_commit();
    if (walk.completes_unit() && has_work) {
      const E* const gradient = gradient_tiles + step % kGradients * kGradientTile +
                                (lane / 16 * 8 + lane % 8) * kPitch<kOutputs> + output +
                                lane / 8 % 2 * 8;
#pragma unroll
      for (int k = 0; k < kStrip / 16; ++k) {
        uint32_t a[2][4];
#pragma unroll
        for (int half = 0; half < 2; ++half)
          gpu::ldmatrix_x4_trans(a[half], gradient + k * 16 * kPitch<kOutputs> + half * 16);
#pragma unroll
        for (int tap = 0; tap < 9; ++tap) {
          const E* const row = row_tiles + (step + tap / 3 + kRows - 2) % kRows * kRowTile;
          uint32_t b[4];
          gpu::ldmatrix_x4_trans(b, row + (k * 16 + tap % 3 + lane % 16) * kPitch<kChannels> +
                                        channel + lane / 16 * 8);
          if (relu_input)
#pragma unroll
            for (int i = 0; i < 4; ++i) b[i] = relu2<E>(b[i]);
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            gpu::mma_m16n8k16<E>(sum[half][2 * tap], a[half], {b[0], b[1]});
            gpu::mma_m16n8k16<E>(sum[half][2 * tap + 1], a[half], {b[2], b[3]});
          }
        }
      }
    }
    walk.next(shape);
  }
  gpu::cp_async_wait<0>();

  if (!has_work) return;
  dweight += int64_t(blockIdx.x) * shape.O * 9 * shape.I;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int first = first_output + output + 16 * half;
    if (first >= shape.O) continue;
#pragma unroll
    for (int n = 0; n < 18; ++n)
#pragma unroll
      for (int i = 0; i < 4; i += 2) {
        const int64_t at = (int64_t(first + lane / 4 + 4 * i) * 9 + n / 2) * shape.I +
                           first_channel + channel + n % 2 * 8 + lane % 4 * 2;
        *reinterpret_cast<float2*>(dweight + at) = {sum[half][n][i], sum[half][n][i + 1]};
      }
  }
}

// Outputs and channels of a block: half as many where a map has no more.
int tile_of(int64_t channels) { return channels <= 32 ? 32 : 64; }

// Enough slices for every multiprocessor of a large device to have eight warps. A function of the
// shape alone, so that the order of sums does not depend on the device.
constexpr int64_t kWarps = 1024, kFewestUnits = 8;

int64_t strips_of(int64_t W) { return gpu::ceil_div<int64_t>(W, kStrip); }

}  // namespace

int64_t conv3x3_weight_gradient_slices(int64_t B, int64_t H, int64_t W, int64_t I, int64_t O) {
  const int64_t warps = gpu::ceil_div<int64_t>(O, tile_of(O)) * (tile_of(O) / kWarpOutputs) *
                        gpu::ceil_div<int64_t>(I, tile_of(I)) * (tile_of(I) / kWarpChannels);
  const int64_t most = gpu::ceil_div<int64_t>(B * strips_of(W) * H, kFewestUnits);
  return std::clamp<int64_t>(kWarps / warps, 1, most);
}

template <class E>
void conv3x3_weight_gradient(CUstream_st* stream, const Conv3x3WeightGradient<E>& c) {
  check(c.I % 16 == 0 && c.O % 16 == 0,
        "conv3x3 (gradient of the weight): channels must be multiples of 16, not ", c.I, " in and ",
        c.O, " out");
  const int64_t slices = conv3x3_weight_gradient_slices(c.B, c.H, c.W, c.I, c.O);
  const Shape shape{static_cast<int>(c.H),
                    static_cast<int>(c.W),
                    static_cast<int>(c.I),
                    static_cast<int>(c.O),
                    static_cast<int>(strips_of(c.W)),
                    c.B * strips_of(c.W) * c.H};
  float* const to = slices > 1 ? c.workspace : c.dweight;
  const auto run = [&]<int kOutputs, int kChannels> {
    const dim3 grid(static_cast<unsigned>(slices),
                    static_cast<unsigned>(gpu::ceil_div<int64_t>(c.I, kChannels)),
                    static_cast<unsigned>(gpu::ceil_div<int64_t>(c.O, kOutputs)));
    gpu::launch(conv3x3_weight_gradient_kernel<device_t<E>, kOutputs, kChannels>, grid,
                kThreads<kOutputs, kChannels>, kSharedBytes<kOutputs, kChannels>, stream,
                on_device(c.x), on_device(c.dy), to, shape, gpu::ceil_div(shape.units, slices),
                c.relu_input);
  };
  if (tile_of(c.O) == 32)
    tile_of(c.I) == 32 ? run.template operator()<32, 32>() : run.template operator()<32, 64>();
  else
    tile_of(c.I) == 32 ? run.template operator()<64, 32>() : run.template operator()<64, 64>();
  if (slices > 1) sum_rows<float>(stream, c.workspace, c.dweight, nullptr, slices, c.O * 9 * c.I);
}

template void conv3x3_weight_gradient(CUstream_st*, const Conv3x3WeightGradient<float16>&);
template void conv3x3_weight_gradient(CUstream_st*, const Conv3x3WeightGradient<bfloat16>&);

}  // namespace fathom::cuda
