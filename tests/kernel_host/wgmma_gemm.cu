// c = a b^T with the tensor copy engine and wgmma: one warp copies tiles, one warpgroup multiplies.
#include "tests/kernel_host/wgmma_gemm.h"

#include "core/gpu/hopper.h"

namespace fathom {
namespace {

using T = __nv_bfloat16;

constexpr int kTile = 64;  // rows of a, rows of b and elements of k in a step
constexpr int kStages = 3;
constexpr int kConsumers = 128;
constexpr int kThreads = kConsumers + 32;
constexpr uint32_t kTileElements = kTile * kTile;
constexpr size_t kSharedBytes = 2 * kStages * kTileElements * sizeof(T);

__global__ void __launch_bounds__(kThreads)
    wgmma_gemm_kernel(const __grid_constant__ gpu::TensorMap a_map,
                      const __grid_constant__ gpu::TensorMap b_map, float* __restrict__ c, int n,
                      int k) {
  gpu::DynamicShared shared;
  T* a_tiles = shared.take<T>(kStages * kTileElements, 1024);
  T* b_tiles = shared.take<T>(kStages * kTileElements, 1024);
  GPU_SHARED(full, gpu::Barrier[kStages]);
  GPU_SHARED(empty, gpu::Barrier[kStages]);

  const int row = static_cast<int>(blockIdx.y) * kTile,
            column = static_cast<int>(blockIdx.x) * kTile;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      full[stage].init(1);
      empty[stage].init(kConsumers);
    }
    gpu::fence_barrier_init();
  }
  __syncthreads();

  const int steps = k / kTile;
  if (thread >= kConsumers) {
    if (thread > kConsumers) return;
    for (int step = 0; step < steps; ++step) {
      const int stage = step % kStages, round = step / kStages;
      empty[stage].wait((round + 1) % 2);  // passes at once in the first round
      full[stage].arrive_expect(2 * kTileElements * sizeof(T));
      gpu::tensor_load(a_tiles + stage * kTileElements, a_map, full[stage], step * kTile, row);
      gpu::tensor_load(b_tiles + stage * kTileElements, b_map, full[stage], step * kTile, column);
    }
    return;
  }

  float sum[32];
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages, round = step / kStages;
    full[stage].wait(round % 2);
    const uint64_t a = gpu::tile_descriptor(a_tiles + stage * kTileElements);
    const uint64_t b = gpu::tile_descriptor(b_tiles + stage * kTileElements);
    gpu::wgmma_fence();
#pragma unroll
    for (int i = 0; i < kTile / 16; ++i)  // 16 elements of k are 32 bytes: 2 in a descriptor
      gpu::wgmma_transposed<T, 64>(sum, a + 2 * i, b + 2 * i, step + i > 0);
    gpu::wgmma_commit();
    gpu::wgmma_wait<0>(sum);
    empty[stage].arrive();
  }

  const int warp = thread / 32, lane = thread % 32;
#pragma unroll
  for (int j = 0; j < 8; ++j)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const size_t at = static_cast<size_t>(row + warp * 16 + lane / 4 + 8 * half) * n + column +
                        j * 8 + lane % 4 * 2;
      *reinterpret_cast<float2*>(c + at) = {sum[4 * j + 2 * half], sum[4 * j + 2 * half + 1]};
    }
}

}  // namespace

void wgmma_gemm(CUstream_st* stream, const bfloat16* a, const bfloat16* b, float* c, int m, int n,
                int k) {
  gpu::launch(wgmma_gemm_kernel, dim3(n / kTile, m / kTile), kThreads, kSharedBytes, stream,
              gpu::make_tensor_map(reinterpret_cast<const T*>(a), m, k, kTile),
              gpu::make_tensor_map(reinterpret_cast<const T*>(b), n, k, kTile), c, n, k);
}

}  // namespace fathom
