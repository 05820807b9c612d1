#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/gpu/hopper.h"
#include "kernels/cuda/attention.h"
#include "kernels/device/ring.cuh"
#include "kernels/device/vector.cuh"

// Attention for sm_90a: the tensor copy engine feeds wgmma, exponentials run under products.
namespace fathom::cuda {
namespace {

// Bound by tensor cores and exponentials alike: 4 * T * T * 64 FLOP and T * T exponentials a head,
// which take the two units the same time. A block stays on its multiprocessor and takes one item
// after the other: 128 queries of a head. Its first warpgroup copies; the other two multiply, 64
// queries each, taking turns so that one's exponentials run while the other's products do.
constexpr int D = 64;
constexpr int kGroups = 2, kThreads = 128 * (1 + kGroups);
constexpr int kRows = 64, kQueries = kRows * kGroups;  // of a warpgroup, of an item
constexpr int kKeys = 128;                             // of a step
constexpr int kItems = 2;                              // whose queries are in shared memory
constexpr int kTiles = 6;                              // of keys and values: three steps
constexpr uint32_t kTileElements = 128 * D;
constexpr uint32_t kTileBytes = 2 * kTileElements;
constexpr size_t kSharedBytes = (kItems + kTiles) * kTileBytes;
enum Part { kKeyPart = 1, kValuePart = 2 };  // of a token in qkv
constexpr float kLn2 = 0.693147180559945f;

// An item's steps: first the keys that are left over at the end, so that all others are full tiles.
[[maybe_unused]] __device__ int first_key(int step, int steps) {
  return (step == 0 ? steps - 1 : step - 1) * kKeys;
}

struct Item {
  int first_query, head, image;
  __device__ Item(int index, int tiles, int heads)
      : first_query(index % tiles * kQueries),
        head(index / tiles % heads),
        image(index / tiles / heads) {}
};

// Copies tiles in the order in which they are used: keys of a step, then values of the one before.
template <class E>
__device__ void copy_tiles(const gpu::TensorMap& map, E* queries, E* ring,
                           gpu::Barrier* queries_full, gpu::Barrier* queries_empty,
                           gpu::Barrier* full, gpu::Barrier* empty, int length, int heads,
                           int items) {
  const int tiles = gpu::ceil_div(length, kQueries), steps = gpu::ceil_div(length, kKeys);
  Ring<kItems> item_ring;
  Ring<kTiles> tile;
  for (int i = static_cast<int>(blockIdx.x); i < items; i += static_cast<int>(gridDim.x)) {
    const Item item(i, tiles, heads);
    queries_empty[item_ring.at].wait(item_ring.parity ^ 1);  // passes at once in the first round
    queries_full[item_ring.at].arrive_expect(kTileBytes);
    gpu::tensor_load(queries + item_ring.at * kTileElements, map, queries_full[item_ring.at], 0,
                     item.first_query, item.head, item.image);
    item_ring.next();
    const auto copy = [&](int part, int step) {
      empty[tile.at].wait(tile.parity ^ 1);
      full[tile.at].arrive_expect(kTileBytes);
      gpu::tensor_load(ring + tile.at * kTileElements, map, full[tile.at], 0,
                       first_key(step, steps), part * heads + item.head, item.image);
      tile.next();
    };
    copy(kKeyPart, 0);
    for (int step = 1; step < steps; ++step) copy(kKeyPart, step), copy(kValuePart, step - 1);
    copy(kValuePart, steps - 1);
  }
}

// The keys of an item's first step are kTail: as many as are left over, rounded up to 32.
template <class E, int kTail>
__device__ void attend(const gpu::TensorMap& y_map, float* __restrict__ lse, E* queries, E* ring,
                       gpu::Barrier* queries_full, gpu::Barrier* queries_empty, gpu::Barrier* full,
                       gpu::Barrier* empty, int length, int heads, int items, float scale_log2) {
  const int tiles = gpu::ceil_div(length, kQueries), steps = gpu::ceil_div(length, kKeys);
  const int group = static_cast<int>(threadIdx.x) / 128 - 1;
  const int warp = static_cast<int>(threadIdx.x) / 32 % 4,
            lane = static_cast<int>(threadIdx.x) % 32;
  const bool leads = threadIdx.x % 128 == 0;
  const int keys_left = length - (steps - 1) * kKeys;

  // Named barriers 1 and 2: the warpgroup's turn to issue products. 3 and 4: all of it.
  const auto take_turn = [&] { gpu::named_barrier(1 + group, 128 * kGroups); };
  const auto pass_turn = [&] { gpu::named_barrier_arrive(2 - group, 128 * kGroups); };
  const auto release = [&](const Ring<kTiles>& tile) {
    if (lane == 0) empty[tile.at].arrive();
  };
  if (group == 1) pass_turn();

  float o[32];
  uint32_t p[kKeys / 16][4];
  float row_max[2], row_sum[2];  // of rows lane/4 and lane/4 + 8 of the warp's 16
  Ring<kItems> item_ring;
  Ring<kTiles> tile;

  const auto multiply_keys = [&]<int kWidth>(float(&s)[kWidth / 2], uint64_t q, const E* keys) {
    const uint64_t k = gpu::tile_descriptor(keys);
#pragma unroll
    for (int d = 0; d < D / 16; ++d)
      gpu::wgmma_transposed<E, kWidth>(s, q + 2 * d, k + 2 * d, d > 0);
  };
  const auto multiply_values = [&]<int kWidth>(const E* values, bool accumulate) {
    const uint64_t v = gpu::tile_descriptor(values);
#pragma unroll
    for (int k = 0; k < kWidth / 16; ++k)
      gpu::wgmma_rows<E>(o, p[k], v + 128 * k, accumulate || k > 0);
  };
  // Scores become p; rescale is what the sums so far are to be multiplied by.
  const auto softmax = [&]<int kWidth>(float(&s)[kWidth / 2], float(&rescale)[2], bool first) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = first ? -INFINITY : row_max[half];
#pragma unroll
      for (int n = 0; n < kWidth / 8; ++n)
        largest = fmaxf(largest, fmaxf(s[4 * n + 2 * half], s[4 * n + 2 * half + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(gpu::kFullWarp, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(gpu::kFullWarp, largest, 2));
      // Exponents are relative to a rounded product; the same one everywhere, so it cancels.
      const float reference = __fmul_rn(largest, scale_log2);
      rescale[half] =
          first ? 0.0f : gpu::exp2_approximate(__fmul_rn(row_max[half], scale_log2) - reference);
      row_max[half] = largest;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kWidth / 8; ++n)
#pragma unroll
        for (int i = 4 * n + 2 * half; i < 4 * n + 2 * half + 2; ++i) {
          s[i] = gpu::exp2_approximate(fmaf(s[i], scale_log2, -reference));
          sum += s[i];
        }
      row_sum[half] = first ? sum : row_sum[half] * rescale[half] + sum;
    }
  };
  const auto round_to_p = [&]<int kWidth>(const float(&s)[kWidth / 2]) {
#pragma unroll
    for (int k = 0; k < kWidth / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) p[k][i] = gpu::pack2<E>(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
  };

  // The scores of a step are issued, then the values of the step before, of kBefore keys; while
  // those are multiplied the scores become probabilities.
  const auto step = [&]<int kBefore>(uint64_t q, bool first) {
    float s[kKeys / 2], rescale[2];
    const Ring<kTiles> keys = tile;
    tile.next();
    const Ring<kTiles> values = tile;
    tile.next();
    full[keys.at].wait(keys.parity);
    take_turn();
    gpu::wgmma_fence();
    multiply_keys.template operator()<kKeys>(s, q, ring + keys.at * kTileElements);
    gpu::wgmma_commit();
    full[values.at].wait(values.parity);
    gpu::wgmma_fence();
    multiply_values.template operator()<kBefore>(ring + values.at * kTileElements, !first);
    gpu::wgmma_commit();
    pass_turn();
    gpu::wgmma_wait<1>(s);
    release(keys);
    softmax.template operator()<kKeys>(s, rescale, false);
    gpu::wgmma_wait<0>(o);
    release(values);
#pragma unroll
    for (int i = 0; i < 32; ++i) o[i] *= rescale[i / 2 % 2];
    round_to_p.template operator()<kKeys>(s);
  };

  for (int i = static_cast<int>(blockIdx.x); i < items; i += static_cast<int>(gridDim.x)) {
    const Item item(i, tiles, heads);
    E* const rows = queries + item_ring.at * kTileElements + group * kRows * D;
    const uint64_t q = gpu::tile_descriptor(rows);
    queries_full[item_ring.at].wait(item_ring.parity);

    {
      float s[kTail / 2], rescale[2];
      full[tile.at].wait(tile.parity);
      take_turn();
      gpu::wgmma_fence();
      multiply_keys.template operator()<kTail>(s, q, ring + tile.at * kTileElements);
      gpu::wgmma_commit();
      pass_turn();
      // Meanwhile the result of the item before has left its queries' place.
      if (leads && i >= static_cast<int>(gridDim.x)) {
        gpu::tensor_store_wait<0>();
        queries_empty[item_ring.at ^ 1].arrive();
      }
      gpu::wgmma_wait<0>(s);
      release(tile);
      tile.next();
#pragma unroll
      for (int n = 0; n < kTail / 2; ++n)
        if (n / 4 * 8 + lane % 4 * 2 + n % 2 >= keys_left) s[n] = -INFINITY;
      softmax.template operator()<kTail>(s, rescale, true);
      round_to_p.template operator()<kTail>(s);
    }
    step.template operator()<kTail>(q, true);
    for (int n = 2; n < steps; ++n) step.template operator()<kKeys>(q, false);
    full[tile.at].wait(tile.parity);
    gpu::wgmma_fence();
    multiply_values.template operator()<kKeys>(ring + tile.at * kTileElements, true);
    gpu::wgmma_commit();
    gpu::wgmma_wait<0>(o);
    release(tile);
    tile.next();

    // The result takes the place of its queries, swizzled as the copy engine expects it.
    const int first_row = item.first_query + group * kRows;
    gpu::named_barrier(3 + group, 128);  // the queries have been read by all
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = row_sum[half];
      sum += __shfl_xor_sync(gpu::kFullWarp, sum, 1);
      sum += __shfl_xor_sync(gpu::kFullWarp, sum, 2);
      const float inverse = 1.0f / sum;
      const int row = warp * 16 + lane / 4 + 8 * half;
#pragma unroll
      for (int n = 0; n < D / 8; ++n)
        *reinterpret_cast<uint32_t*>(rows + row * D + (n ^ (row % 8)) * 8 + lane % 4 * 2) =
            gpu::pack2<E>(o[4 * n + 2 * half] * inverse, o[4 * n + 2 * half + 1] * inverse);
      if (lse != nullptr && lane % 4 == 0 && first_row + row < length)
        lse[(int64_t(item.image) * heads + item.head) * length + first_row + row] =
            (__fmul_rn(row_max[half], scale_log2) + log2f(sum)) * kLn2;
    }
    gpu::fence_proxy_async();
    gpu::named_barrier(3 + group, 128);  // the result has been written by all
    if (leads) {
      gpu::tensor_store(y_map, rows, 0, first_row, item.head, item.image);
      gpu::tensor_store_commit();
    }
    item_ring.next();
  }
  if (leads) gpu::tensor_store_wait<0>();
}

template <class E, int kTail>
__global__ void __launch_bounds__(kThreads, 1)
    attention_wgmma_kernel(const __grid_constant__ gpu::TensorMap qkv_map,
                           const __grid_constant__ gpu::TensorMap y_map, float* __restrict__ lse,
                           int length, int heads, int items, float scale_log2) {
  if constexpr (gpu::kHopper) {
    gpu::DynamicShared shared;
    E* const queries = shared.take<E>(kItems * kTileElements, 1024);
    E* const ring = shared.take<E>(kTiles * kTileElements, 1024);
    GPU_SHARED(queries_full, gpu::Barrier[kItems]);
    GPU_SHARED(queries_empty, gpu::Barrier[kItems]);
    GPU_SHARED(full, gpu::Barrier[kTiles]);
    GPU_SHARED(empty, gpu::Barrier[kTiles]);
    if (threadIdx.x == 0) {
      for (int i = 0; i < kItems; ++i) queries_full[i].init(1), queries_empty[i].init(kGroups);
      for (int i = 0; i < kTiles; ++i) full[i].init(1), empty[i].init(4 * kGroups);  // a warp each
      gpu::fence_barrier_init();
    }
    __syncthreads();

    if (threadIdx.x < 128) {
      gpu::give_registers<24>();
      if (threadIdx.x == 0)
        copy_tiles(qkv_map, queries, ring, queries_full, queries_empty, full, empty, length, heads,
                   items);
    } else {
      gpu::take_registers<240>();
      attend<E, kTail>(y_map, lse, queries, ring, queries_full, queries_empty, full, empty, length,
                       heads, items, scale_log2);
    }
  } else {
    __trap();  // runs_hopper_code is asked first
  }
}

}  // namespace

template <class E>
bool prefers_attention_wgmma(int64_t T, int64_t width) {
  static const bool runs = gpu::runs_hopper_code(attention_wgmma_kernel<device_t<E>, 32>);
  return runs && width == D && T > kKeys;
}

template <class E>
void attention_forward_wgmma(CUstream_st* stream, const E* qkv, E* y, float* lse, int64_t B,
                             int64_t T, int64_t heads) {
  check(T > kKeys, "attention with wgmma takes more than ", kKeys, " tokens, not ", T);
  const auto H = static_cast<uint64_t>(heads), length = static_cast<uint64_t>(T);
  const auto images = static_cast<uint64_t>(B);
  const gpu::TensorMap qkv_map = gpu::make_tensor_map(on_device(qkv), {D, length, 3 * H, images},
                                                      {3 * H * D, D, length * 3 * H * D}, kKeys);
  const gpu::TensorMap y_map =
      gpu::make_tensor_map(on_device(y), {D, length, H, images}, {H * D, D, length * H * D}, kRows);
  const int items = static_cast<int>(gpu::ceil_div<int64_t>(T, kQueries) * heads * B);
  const dim3 grid(static_cast<unsigned>(std::min(items, gpu::multiprocessors())));
  const auto run = [&]<int kTail> {
    gpu::launch(attention_wgmma_kernel<device_t<E>, kTail>, grid, kThreads, kSharedBytes, stream,
                qkv_map, y_map, lse, static_cast<int>(T), static_cast<int>(heads), items,
                1.0f / (std::sqrt(static_cast<float>(D)) * kLn2));
  };
  switch (((T - 1) % kKeys + 1 + 31) / 32) {
    case 1: return run.template operator()<32>();
    case 2: return run.template operator()<64>();
    case 3: return run.template operator()<96>();
    default: return run.template operator()<128>();
  }
}

#define FATHOM_INSTANTIATE(E)                                                                 \
  template bool prefers_attention_wgmma<E>(int64_t, int64_t);                                 \
  template void attention_forward_wgmma(CUstream_st*, const E*, E*, float*, int64_t, int64_t, \
                                        int64_t);
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
