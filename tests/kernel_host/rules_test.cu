// The layer itself: that each broken rule is reported. A device does not report.
#include "core/gpu/hopper.h"
#include "tests/kernel_host/testing.h"

#if defined(FATHOM_KERNEL_HOST)

namespace fathom {
namespace {

using gpu::kFullWarp;
using bf16 = __nv_bfloat16;

__global__ void exited_barrier_kernel() {
  if (threadIdx.x == 3) return;
  __syncthreads();
}
__global__ void two_barriers_kernel() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void barrier_in_loop_kernel() {
  for (unsigned i = 0; i <= threadIdx.x / 32; ++i) __syncthreads();
}
__global__ void partial_shuffle_kernel(int* out) {
  if (threadIdx.x < 16) *out = __shfl_down_sync(kFullWarp, 1, 1);
}
__global__ void unnamed_lane_kernel(int* out) {
  if (threadIdx.x < 16) *out = __shfl_sync(0xffffu, 1, 20);
}
__global__ void missing_mask_kernel() { __syncwarp(0xffffu); }
__global__ void two_operations_kernel() {
  if (threadIdx.x < 16)
    __syncwarp();
  else
    __ballot_sync(kFullWarp, 1);
}
TEST_CASE("kernel host: divergence is reported") {
  DeviceArray<int> out(1);
  expect_error("__syncthreads", exited_barrier_kernel, 1, 64, 0);
  expect_error("divergent barrier", two_barriers_kernel, 1, 64, 0);
  expect_error("divergent barrier", barrier_in_loop_kernel, 1, 64, 0);
  expect_error("__shfl_down_sync", partial_shuffle_kernel, 1, 32, 0, out);
  expect_error("which the mask does not name", unnamed_lane_kernel, 1, 32, 0, out);
  expect_error("the mask lacks the calling lane", missing_mask_kernel, 1, 32, 0);
  expect_error("divergent warp", two_operations_kernel, 1, 32, 0);
  expect_error("do not exist", two_operations_kernel, 1, 20, 0);
}

__global__ void shared_race_kernel(int* out) {
  GPU_SHARED(cells, int[64]);
  cells[threadIdx.x] = 1;
  __syncwarp();
  *out = cells[threadIdx.x ^ 1];  // fine within the warp, but all write one output
}
__global__ void across_warps_kernel(int* out) {
  GPU_SHARED(cells, int[64]);
  cells[threadIdx.x] = 1;
  __syncwarp();
  out[threadIdx.x] = cells[threadIdx.x ^ 32];
}
__global__ void shuffle_is_no_barrier_kernel(int* out) {
  GPU_SHARED(cells, int[32]);
  cells[threadIdx.x] = 1;
  const int other = __shfl_xor_sync(kFullWarp, static_cast<int>(threadIdx.x), 1);
  out[threadIdx.x] = cells[other];
}
__global__ void write_after_read_kernel(int* out) {
  GPU_SHARED(cells, int[64]);
  cells[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = cells[(threadIdx.x + 1) % 64] + cells[(threadIdx.x + 33) % 64];
  cells[threadIdx.x] = 2;
}
__global__ void in_place_kernel(int* x) { x[blockIdx.x] = x[(blockIdx.x + 1) % gridDim.x]; }
__global__ void reads_nothing_kernel(int* x, int* out) { out[threadIdx.x] = x[threadIdx.x]; }
__global__ void past_pointer_kernel(int* out, int n) {
  GPU_SHARED(a, int[32]);
  GPU_SHARED(b, int[32]);
  int* p = n > 0 ? a : b;
  p[threadIdx.x + static_cast<unsigned>(n)] = 1;
  out[threadIdx.x] = 0;
}
__global__ void misaligned_kernel(const float* x, float* out) {
  *out = reinterpret_cast<const float4*>(x + 1)->y;
}
__global__ void host_memory_kernel(const int* x, int* out) { *out = *x; }
__global__ void local_of_another_kernel(int* out) {
  GPU_SHARED(address, int*);
  int local = static_cast<int>(threadIdx.x);
  if (threadIdx.x == 0) address = &local;
  __syncthreads();
  out[threadIdx.x] = *address;
  __syncthreads();
}
TEST_CASE("kernel host: memory errors are reported") {
  if (!gpu::host::checked()) return;
  DeviceArray<int> one(1), many(64), zeros(std::vector<int>(64, 0));
  DeviceArray<float> floats(std::vector<float>(8, 0.0f)), result(1);
  static int* const heap = new int(0);
  expect_error("race on device memory", shared_race_kernel, 1, 64, 0, one);
  expect_error("shared array `cells`", across_warps_kernel, 1, 64, 0, many);
  expect_error("shared array `cells`", shuffle_is_no_barrier_kernel, 1, 32, 0, many);
  expect_error("race on shared array `cells`", write_after_read_kernel, 1, 64, 0, many);
  expect_error("race on device memory", in_place_kernel, 8, 1, 0, zeros);
  DeviceArray<int> never_written(64);
  expect_error("read of uninitialised device memory", reads_nothing_kernel, 1, 64, 0, never_written,
               many);
  expect_error("out of bounds of shared array `a`", past_pointer_kernel, 1, 32, 0, many, 1);
  expect_error("misaligned address", misaligned_kernel, 1, 1, 0, floats, result);
  expect_error("memory that is not the device's", host_memory_kernel, 1, 1, 0, heap, one);
  expect_error("memory that is not the device's", host_memory_kernel, 1, 1, 0, nullptr, one);
  expect_error("another thread's local variable", local_of_another_kernel, 1, 32, 0, many);
}

__global__ void nothing_kernel() {}
TEST_CASE("kernel host: launches beyond the limits are refused") {
  expect_error("invalid block size", nothing_kernel, 1, 1025, 0);
  expect_error("invalid grid size", nothing_kernel, 0, 32, 0);
  expect_error("more dynamic shared memory", nothing_kernel, 1, 32, 300000);
}

}  // namespace
}  // namespace fathom

#endif
