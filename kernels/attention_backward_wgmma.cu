#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/gpu/hopper.h"
#include "kernels/cuda/attention.h"
#include "kernels/device/attention.cuh"
#include "kernels/device/ring.cuh"

// The gradient of attention for sm_90a: attention_backward.cu's two sides with the tensor copy
// engine and wgmma.
namespace fathom::cuda {
namespace {

// Tensor bound: 14 * T * T * 64 FLOP a head, of which 10 count as useful, and two exponentials a
// score. A block stays on its multiprocessor and takes one item after the other: 128 rows of a
// head's keys (dk, dv) or queries (dq), whose products with the other side it forms 64 columns a
// step. Of the first warpgroup one thread copies and a warp brings the statistics of queries; the
// other two multiply, 64 rows each, so that one's exponentials run while the other's products do.
constexpr int D = 64;
constexpr int kGroups = 2, kThreads = 128 * (1 + kGroups);
constexpr int kRows = 64, kItemRows = kRows * kGroups;  // of a warpgroup, of an item
constexpr int kStep = 64;                               // columns
constexpr int kItems = 2;                               // whose rows are in shared memory
constexpr int kStages = 4;
constexpr uint32_t kTileElements = kRows * D;
constexpr uint32_t kTileBytes = 2 * kTileElements;
constexpr uint32_t kItemElements =
    2 * kGroups * kTileElements;                        // x1, x2 of a group, then of the next
constexpr uint32_t kStageElements = 2 * kTileElements;  // z1, z2
constexpr size_t kSharedBytes =
    (kItems * 2 * kGroups + kStages * 2) * kTileBytes + kStages * 2 * kStep * sizeof(float);
constexpr float kLog2e = 1.44269504088896f;

enum class Side { kKeys, kQueries };

struct Maps {  // of boxes of 64 rows
  gpu::TensorMap qkv, dy, dqkv;
};

struct Shape {
  int length, heads, items;
  float scale;
};

struct Barriers {
  gpu::Barrier *rows_full, *rows_empty, *full, *empty;
};

struct Item {
  int first_row, head, image;
  __device__ Item(int index, const Shape& shape) {
    const int tiles = gpu::ceil_div(shape.length, kItemRows);
    first_row = index % tiles * kItemRows;
    head = index / tiles % shape.heads;
    image = index / tiles / shape.heads;
  }
};

// The rows of an item: keys and values, or queries and dy; the columns of a step: the other two.
template <class E, Side kSide>
__device__ void copy_tiles(const Maps& maps, E* rows, E* ring, const Barriers& barriers,
                           const Shape& shape) {
  const auto keys = [&](E* tile, gpu::Barrier& barrier, int first, const Item& item) {
    gpu::tensor_load(tile, maps.qkv, barrier, 0, first, shape.heads + item.head, item.image);
    gpu::tensor_load(tile + kTileElements, maps.qkv, barrier, 0, first, 2 * shape.heads + item.head,
                     item.image);
  };
  const auto queries = [&](E* tile, gpu::Barrier& barrier, int first, const Item& item) {
    gpu::tensor_load(tile, maps.qkv, barrier, 0, first, item.head, item.image);
    gpu::tensor_load(tile + kTileElements, maps.dy, barrier, 0, first, item.head, item.image);
  };
  const int steps = gpu::ceil_div(shape.length, kStep);
  Ring<kItems> item_ring;
  Ring<kStages> stage;
  for (int i = static_cast<int>(blockIdx.x); i < shape.items; i += static_cast<int>(gridDim.x)) {
    const Item item(i, shape);
    barriers.rows_empty[item_ring.at].wait(item_ring.parity ^ 1);  // at once in the first round
    barriers.rows_full[item_ring.at].arrive_expect(2 * kGroups * kTileBytes);
    for (int group = 0; group < kGroups; ++group) {
      E* const tile = rows + item_ring.at * kItemElements + group * 2 * kTileElements;
      const int first = item.first_row + group * kRows;
      if constexpr (kSide == Side::kKeys)
        keys(tile, barriers.rows_full[item_ring.at], first, item);
      else
        queries(tile, barriers.rows_full[item_ring.at], first, item);
    }
    item_ring.next();
    for (int step = 0; step < steps; ++step) {
      barriers.empty[stage.at].wait(stage.parity ^ 1);
      barriers.full[stage.at].arrive_expect(2 * kTileBytes);
      E* const tile = ring + stage.at * kStageElements;
      if constexpr (kSide == Side::kKeys)
        queries(tile, barriers.full[stage.at], step * kStep, item);
      else
        keys(tile, barriers.full[stage.at], step * kStep, item);
      stage.next();
    }
  }
}

// A warp brings lse, in base two, and delta of every step's queries. Those past the end have zeros
// for dy and delta, so no part in the sums.
[[maybe_unused]] __device__ void copy_statistics(const float* __restrict__ lse,
                                                 const float* __restrict__ delta, float* statistics,
                                                 const Barriers& barriers, const Shape& shape) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int steps = gpu::ceil_div(shape.length, kStep);
  Ring<kStages> stage;
  for (int i = static_cast<int>(blockIdx.x); i < shape.items; i += static_cast<int>(gridDim.x)) {
    const Item item(i, shape);
    const int64_t head = (int64_t(item.image) * shape.heads + item.head) * shape.length;
    for (int step = 0; step < steps; ++step) {
      float value[2 * kStep / 32];
#pragma unroll
      for (int k = 0; k < kStep / 32; ++k) {
        const int query = step * kStep + k * 32 + lane;
        const bool inside = query < shape.length;
        value[2 * k] = inside ? lse[head + query] * kLog2e : 0.0f;
        value[2 * k + 1] = inside ? delta[head + query] : 0.0f;
      }
      barriers.empty[stage.at].wait(stage.parity ^ 1);
      float* const to = statistics + stage.at * 2 * kStep;
#pragma unroll
      for (int k = 0; k < kStep / 32; ++k) {
        to[k * 32 + lane] = value[2 * k];
        to[kStep + k * 32 + lane] = value[2 * k + 1];
      }
      barriers.full[stage.at].arrive();
      stage.next();
    }
  }
}

// With x the group's rows and z the columns of a step: s = x1 z1^T are the scores (transposed on
// the side of the keys), p = exp(s - lse), dp = x2 z2^T, ds = p (dp - delta); then dx1 += ds z1
// and, for values, dx2 += p z2.
template <class E, Side kSide>
__device__ void differentiate(const Maps& maps, const float* __restrict__ lse,
                              const float* __restrict__ delta, E* rows, const E* ring,
                              const float* statistics, const Barriers& barriers,
                              const Shape& shape) {
  constexpr bool kOfKeys = kSide == Side::kKeys;
  const int steps = gpu::ceil_div(shape.length, kStep);
  const int group = static_cast<int>(threadIdx.x) / 128 - 1;
  const int warp = static_cast<int>(threadIdx.x) / 32 % 4,
            lane = static_cast<int>(threadIdx.x) % 32;
  const bool leads = threadIdx.x % 128 == 0;
  const float scale_log2 = shape.scale * kLog2e;
  const auto release = [&](int at) {
    if (lane == 0) barriers.empty[at].arrive();
  };

  float dx1[D / 2], dx2[D / 2];
  uint32_t p[kStep / 16][4], ds[kStep / 16][4];
  Ring<kItems> item_ring;
  Ring<kStages> stage;
  for (int i = static_cast<int>(blockIdx.x); i < shape.items; i += static_cast<int>(gridDim.x)) {
    const Item item(i, shape);
    E* const x1 = rows + item_ring.at * kItemElements + group * 2 * kTileElements;
    E* const x2 = x1 + kTileElements;
    const int first_row = item.first_row + group * kRows;
    float row_lse[2] = {}, row_delta[2] = {};  // of rows lane/4 and lane/4 + 8 of the warp's 16
    if constexpr (!kOfKeys) {
      const int64_t head = (int64_t(item.image) * shape.heads + item.head) * shape.length;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int query = first_row + warp * 16 + lane / 4 + 8 * half;
        if (query < shape.length)
          row_lse[half] = lse[head + query] * kLog2e, row_delta[half] = delta[head + query];
      }
    }
#pragma unroll
    for (int n = 0; n < D / 2; ++n) dx1[n] = dx2[n] = 0.0f;
    barriers.rows_full[item_ring.at].wait(item_ring.parity);
    const uint64_t x1_tile = gpu::tile_descriptor(x1), x2_tile = gpu::tile_descriptor(x2);

    int before = 0;
    for (int step = 0; step < steps; ++step) {
      const E* const z1 = ring + stage.at * kStageElements;
      const uint64_t z1_tile = gpu::tile_descriptor(z1),
                     z2_tile = gpu::tile_descriptor(z1 + kTileElements);
      float s[kStep / 2], dp[kStep / 2];
      barriers.full[stage.at].wait(stage.parity);
      gpu::wgmma_fence();
#pragma unroll
      for (int d = 0; d < D / 16; ++d)
        gpu::wgmma_transposed<E, kStep>(s, x1_tile + 2 * d, z1_tile + 2 * d, d > 0);
      gpu::wgmma_commit();
#pragma unroll
      for (int d = 0; d < D / 16; ++d)
        gpu::wgmma_transposed<E, kStep>(dp, x2_tile + 2 * d, z2_tile + 2 * d, d > 0);
      gpu::wgmma_commit();
      // Meanwhile the result of the item before has left its rows' place.
      if (leads && step == 0 && i >= static_cast<int>(gridDim.x)) {
        gpu::tensor_store_wait<0>();
        barriers.rows_empty[item_ring.at ^ 1].arrive();
      }
      // The sums of the step before were multiplied until now.
      gpu::wgmma_wait<2>(dx1);
      if constexpr (kOfKeys) gpu::wgmma_wait<2>(dx2);
      if (step > 0) release(before);
      gpu::wgmma_wait<1>(s);

      const int left = shape.length - step * kStep;
      if (!kOfKeys && left < kStep) {
#pragma unroll
        for (int n = 0; n < kStep / 2; ++n)
          if (n / 4 * 8 + lane % 4 * 2 + n % 2 >= left) s[n] = -INFINITY;
      }
      const float* const of_step = statistics + stage.at * 2 * kStep + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < kStep / 8; ++n) {
        float2 column = {};
        if constexpr (kOfKeys) column = *reinterpret_cast<const float2*>(of_step + n * 8);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          const float l = !kOfKeys ? row_lse[k / 2] : k % 2 ? column.y : column.x;
          s[4 * n + k] = gpu::exp2_approximate(fmaf(s[4 * n + k], scale_log2, -l));
        }
      }
      gpu::wgmma_wait<0>(dp);
#pragma unroll
      for (int n = 0; n < kStep / 8; ++n) {
        float2 column = {};
        if constexpr (kOfKeys) column = *reinterpret_cast<const float2*>(of_step + kStep + n * 8);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          const float d = !kOfKeys ? row_delta[k / 2] : k % 2 ? column.y : column.x;
          dp[4 * n + k] = s[4 * n + k] * (dp[4 * n + k] - d);
        }
      }
#pragma unroll
      for (int k = 0; k < kStep / 16; ++k)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if constexpr (kOfKeys) p[k][j] = gpu::pack2<E>(s[8 * k + 2 * j], s[8 * k + 2 * j + 1]);
          ds[k][j] = gpu::pack2<E>(dp[8 * k + 2 * j], dp[8 * k + 2 * j + 1]);
        }
      gpu::wgmma_fence();
#pragma unroll
      for (int k = 0; k < kStep / 16; ++k) {
        if constexpr (kOfKeys) gpu::wgmma_rows<E>(dx2, p[k], z2_tile + 128 * k, true);
        gpu::wgmma_rows<E>(dx1, ds[k], z1_tile + 128 * k, true);
      }
      gpu::wgmma_commit();
      before = stage.at;
      stage.next();
    }
    gpu::wgmma_wait<0>(dx1);
    if constexpr (kOfKeys) gpu::wgmma_wait<0>(dx2);
    release(before);

    // The result takes the place of its rows, swizzled as the copy engine expects it.
    gpu::named_barrier(3 + group, 128);  // the rows have been read by all
    const auto write = [&](E* tile, const float(&c)[D / 2], float factor) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = warp * 16 + lane / 4 + 8 * half;
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
          *reinterpret_cast<uint32_t*>(tile + row * D + (n ^ (row % 8)) * 8 + lane % 4 * 2) =
              gpu::pack2<E>(c[4 * n + 2 * half] * factor, c[4 * n + 2 * half + 1] * factor);
      }
    };
    write(x1, dx1, shape.scale);
    if constexpr (kOfKeys) write(x2, dx2, 1.0f);
    gpu::fence_proxy_async();
    gpu::named_barrier(3 + group, 128);  // the result has been written by all
    if (leads) {
      gpu::tensor_store(maps.dqkv, x1, 0, first_row, (kOfKeys ? shape.heads : 0) + item.head,
                        item.image);
      if constexpr (kOfKeys)
        gpu::tensor_store(maps.dqkv, x2, 0, first_row, 2 * shape.heads + item.head, item.image);
      gpu::tensor_store_commit();
    }
    item_ring.next();
  }
  if (leads) gpu::tensor_store_wait<0>();
}

template <class E, Side kSide>
__global__ void __launch_bounds__(kThreads, 1)
    attention_backward_wgmma_kernel(const __grid_constant__ Maps maps,
                                    const float* __restrict__ lse, const float* __restrict__ delta,
                                    Shape shape) {
  if constexpr (gpu::kHopper) {
    constexpr bool kOfKeys = kSide == Side::kKeys;
    gpu::DynamicShared shared;
    E* const rows = shared.take<E>(kItems * kItemElements, 1024);
    E* const ring = shared.take<E>(kStages * kStageElements, 1024);
    float* const statistics = shared.take<float>(kStages * 2 * kStep);
    GPU_SHARED(rows_full, gpu::Barrier[kItems]);
    GPU_SHARED(rows_empty, gpu::Barrier[kItems]);
    GPU_SHARED(full, gpu::Barrier[kStages]);
    GPU_SHARED(empty, gpu::Barrier[kStages]);
    if (threadIdx.x == 0) {
      for (int i = 0; i < kItems; ++i) rows_full[i].init(1), rows_empty[i].init(kGroups);
      for (int i = 0; i < kStages; ++i) {
        full[i].init(kOfKeys ? 1 + 32 : 1);  // the copies', and a warp's of statistics
        empty[i].init(4 * kGroups);          // a warp each
      }
      gpu::fence_barrier_init();
    }
    __syncthreads();
    const Barriers barriers{rows_full, rows_empty, full, empty};

    if (threadIdx.x < 128) {
      gpu::give_registers<40>();
      if (threadIdx.x == 0)
        copy_tiles<E, kSide>(maps, rows, ring, barriers, shape);
      else if (kOfKeys && threadIdx.x / 32 == 1)
        copy_statistics(lse, delta, statistics, barriers, shape);
    } else {
      gpu::take_registers<232>();
      differentiate<E, kSide>(maps, lse, delta, rows, ring, statistics, barriers, shape);
    }
  } else {
    __trap();  // runs_hopper_code is asked first
  }
}

}  // namespace

template <class E>
bool prefers_attention_backward_wgmma(int64_t T, int64_t width) {
  static const bool runs =
      gpu::runs_hopper_code(attention_backward_wgmma_kernel<device_t<E>, Side::kKeys>);
  return runs && width == D && T > kItemRows;
}

template <class E>
void attention_backward_wgmma(CUstream_st* stream, const E* qkv, const E* y, const float* lse,
                              const E* dy, float* delta, E* dqkv, int64_t B, int64_t T,
                              int64_t heads) {
  const auto H = static_cast<uint64_t>(heads), length = static_cast<uint64_t>(T);
  const auto images = static_cast<uint64_t>(B);
  const auto map_of = [&](auto* tokens, uint64_t slots) {
    return gpu::make_tensor_map(on_device(tokens), {D, length, slots, images},
                                {slots * D, D, length * slots * D}, kRows);
  };
  const Maps maps{map_of(qkv, 3 * H), map_of(dy, H), map_of(dqkv, 3 * H)};
  const Shape shape{static_cast<int>(T), static_cast<int>(heads),
                    static_cast<int>(gpu::ceil_div<int64_t>(T, kItemRows) * heads * B),
                    1.0f / std::sqrt(static_cast<float>(D))};
  attention_delta(stream, on_device(y), on_device(dy), delta, B, T, heads, D);
  const dim3 grid(static_cast<unsigned>(std::min(shape.items, gpu::multiprocessors())));
  const auto side = [&](auto kernel) {
    gpu::launch(kernel, grid, kThreads, kSharedBytes, stream, maps, lse, delta, shape);
  };
  side(attention_backward_wgmma_kernel<device_t<E>, Side::kKeys>);
  side(attention_backward_wgmma_kernel<device_t<E>, Side::kQueries>);
}

#define FATHOM_INSTANTIATE(E)                                                                      \
  template bool prefers_attention_backward_wgmma<E>(int64_t, int64_t);                             \
  template void attention_backward_wgmma(CUstream_st*, const E*, const E*, const float*, const E*, \
                                         float*, E*, int64_t, int64_t, int64_t);
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
