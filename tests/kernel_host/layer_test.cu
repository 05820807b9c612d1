// The layer itself: what each primitive computes. Those of Hopper: hopper_test.cu; what is
// reported: rules_test.cu.
#include "core/gpu.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

using gpu::kFullWarp;
using bf16 = __nv_bfloat16;

__global__ void shuffles_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  const int v = 100 + lane;
  out[lane] = __shfl_sync(kFullWarp, v, lane + 3);
  out[32 + lane] = __shfl_up_sync(kFullWarp, v, 2, 8);
  out[64 + lane] = __shfl_down_sync(kFullWarp, v, 5, 16);
  out[96 + lane] = __shfl_xor_sync(kFullWarp, v, 9);
  const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  out[128 + lane] = __shfl_sync(half, v, 1, 16);
  out[160 + lane] = static_cast<int>(__shfl_xor_sync(kFullWarp, 1.5 * lane, 1) * 2);
}
TEST_CASE("kernel host: shuffles take the lane that CUDA takes") {
  under_schedules(3, [] {
    DeviceArray<int> out(192);
    gpu::launch(shuffles_kernel, 1, 32, 0, nullptr, out);
    const auto r = out.get();
    for (int l = 0; l < 32; ++l) {
      CHECK((r[l] == 100 + (l + 3) % 32));
      CHECK((r[32 + l] == 100 + (l % 8 < 2 ? l : l - 2)));
      CHECK((r[64 + l] == 100 + (l % 16 + 5 > 15 ? l : l + 5)));
      CHECK((r[96 + l] == 100 + (l ^ 9)));
      CHECK((r[128 + l] == 100 + l / 16 * 16 + 1));
      CHECK((r[160 + l] == 3 * (l ^ 1)));
    }
  });
}

__global__ void votes_kernel(unsigned* out) {
  const unsigned t = threadIdx.x, lane = t % 32;
  out[t] = __ballot_sync(kFullWarp, lane % 3 == 0);
  out[64 + t] = __match_any_sync(kFullWarp, lane / 5);
  out[128 + t] =
      __reduce_add_sync(kFullWarp, lane) * 1000 +
      static_cast<unsigned>(__reduce_min_sync(kFullWarp, static_cast<int>(lane) - 7) + 7);
  out[192 + t] = static_cast<unsigned>(__syncthreads_count(t % 4 == 0) * 100 +
                                       __syncthreads_or(t == 63) * 10 + __syncthreads_and(t != 63));
  out[256 + t] = static_cast<unsigned>(__any_sync(kFullWarp, lane == 31) * 2 +
                                       __all_sync(kFullWarp, lane == 31));
}
TEST_CASE("kernel host: votes and reductions of a warp and of a block") {
  under_schedules(3, [] {
    DeviceArray<unsigned> out(320);
    gpu::launch(votes_kernel, 1, 64, 0, nullptr, out);
    const auto r = out.get();
    for (unsigned t = 0; t < 64; ++t) {
      unsigned ballot = 0, match = 0;
      for (unsigned l = 0; l < 32; ++l)
        ballot |= (l % 3 == 0) << l, match |= (l / 5 == t % 32 / 5) << l;
      CHECK((r[t] == ballot && r[64 + t] == match));
      CHECK((r[128 + t] == 496000 && r[192 + t] == 1610 && r[256 + t] == 2));
    }
  });
}

__global__ void atomics_kernel(int* sum, float* fsum, unsigned* largest, int* lock, int* guarded) {
  atomicAdd(sum, 1);
  atomicAdd(fsum, 0.5f);
  atomicMax(largest, blockIdx.x * blockDim.x + threadIdx.x);
  while (atomicCAS(lock, 0, 1) != 0) __nanosleep(100);
  __threadfence();
  atomicExch(guarded, atomicAdd(guarded, 0) + 1);
  __threadfence();
  atomicExch(lock, 0);
}
TEST_CASE("kernel host: atomics and a lock") {
  under_schedules(3, [] {
    DeviceArray<int> sum(std::vector<int>{0}), lock(std::vector<int>{0}),
        guarded(std::vector<int>{0});
    DeviceArray<float> fsum(std::vector<float>{0});
    DeviceArray<unsigned> largest(std::vector<unsigned>{0});
    gpu::launch(atomics_kernel, 5, 64, 0, nullptr, sum, fsum, largest, lock, guarded);
    CHECK(sum.get()[0] == 320);
    CHECK(fsum.get()[0] == 160.0f);
    CHECK(largest.get()[0] == 319);
    CHECK(guarded.get()[0] == 320);
  });
}

template <int N>
__device__ int sum_in_shared(int v) {
  GPU_SHARED(cells, int[N][32 / N]);
  cells[threadIdx.x % N][threadIdx.x / N] = v;
  __syncthreads();
  int s = 0;
  for (auto& row : cells)
    for (int c : row) s += c;
  __syncthreads();
  return s;
}
__global__ void shared_kernel(int* out) {
  const int a = sum_in_shared<8>(1), b = sum_in_shared<16>(2), c = sum_in_shared<8>(3);
  if (threadIdx.x == 0)
    out[blockIdx.x] = a * 10000 + b * 100 + c + static_cast<int>(blockDim.x + gridDim.x);
}
TEST_CASE("kernel host: shared arrays are told apart by declaration and template") {
  under_schedules(3, [] {
    DeviceArray<int> out(3);
    gpu::launch(shared_kernel, 3, 32, 0, nullptr, out);
    CHECK((out.get() == std::vector<int>(3, 320000 + 6400 + 96 + 35)));
  });
}

__global__ void mma_kernel(const uint16_t* a, const uint16_t* b, float* c, bool bfloat) {
  const unsigned lane = threadIdx.x, g = lane / 4, t = lane % 4;
  const auto pair = [](const uint16_t* m, unsigned low, unsigned high) {
    return m[low] | static_cast<uint32_t>(m[high]) << 16;
  };
  uint32_t fa[4], fb[2];
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned at = (g + i % 2 * 8) * 16 + t * 2 + i / 2 * 8;
    fa[i] = pair(a, at, at + 1);
  }
  for (unsigned i = 0; i < 2; ++i) {
    const unsigned k = t * 2 + i * 8;
    fb[i] = pair(b, k * 8 + g, (k + 1) * 8 + g);
  }
  float fc[4] = {1, 1, 1, 1};
  if (bfloat)
    gpu::mma_m16n8k16<bf16>(fc, fa, fb);
  else
    gpu::mma_m16n8k16<__half>(fc, fa, fb);
  for (unsigned i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = fc[i];
}
template <class T>
void check_mma() {
  const auto a = normal<T>(256, 1), b = normal<T>(128, 2);
  std::vector<uint16_t> a_bits, b_bits;
  for (const T& x : a) a_bits.push_back(x.bits);
  for (const T& x : b) b_bits.push_back(x.bits);
  std::vector<double> expected(128, 1.0), allowed(128);
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 8; ++n) {
      double magnitude = 1.0;
      for (int k = 0; k < 16; ++k) {
        const double product = double(float(a[m * 16 + k])) * double(float(b[k * 8 + n]));
        expected[m * 8 + n] += product;
        magnitude += std::abs(product);
      }
      // 16 sums in float; tensor cores may truncate where the host rounds, hence a whole epsilon.
      allowed[m * 8 + n] = 16 * epsilon(DType::f32) * magnitude;
    }
  DeviceArray<uint16_t> da(a_bits), db(b_bits);
  DeviceArray<float> c(128);
  gpu::launch(mma_kernel, 1, 32, 0, nullptr, da, db, c, std::is_same_v<T, bfloat16>);
  CHECK(within(c.get(), expected, allowed));
}
TEST_CASE("kernel host: mma multiplies by the documented fragments") {
  check_mma<bfloat16>();
  check_mma<float16>();
}

__global__ void named_barrier_kernel(int* out) {
  GPU_SHARED(cell, int);
  if (threadIdx.x < 32) {
    if (threadIdx.x == 0) cell = 7;
    gpu::named_barrier(1, 64);
  } else if (threadIdx.x >= 64) {
    gpu::named_barrier(1, 64);
    out[threadIdx.x - 64] = cell;
  }
}
TEST_CASE("kernel host: named barriers join some of the warps") {
  under_schedules(3, [] {
    DeviceArray<int> out(32);
    gpu::launch(named_barrier_kernel, 1, 96, 0, nullptr, out);
    CHECK((out.get() == std::vector<int>(32, 7)));
  });
}

__global__ void arriving_barrier_kernel(int* out) {
  GPU_SHARED(cell, int);
  if (threadIdx.x < 32) {
    if (threadIdx.x == 0) cell = 7;
    gpu::named_barrier_arrive(1, 64);
  } else {
    gpu::named_barrier(1, 64);
    out[threadIdx.x - 32] = cell;
  }
}
#if defined(FATHOM_KERNEL_HOST)
__global__ void arrived_too_early_kernel(int* out) {
  GPU_SHARED(cell, int);
  if (threadIdx.x < 32) {
    gpu::named_barrier_arrive(1, 64);
    if (threadIdx.x == 0) cell = 7;
  } else {
    gpu::named_barrier(1, 64);
    out[threadIdx.x - 32] = cell;
  }
}
#endif
TEST_CASE("kernel host: warps may arrive at a named barrier without waiting") {
  under_schedules(3, [] {
    DeviceArray<int> out(32);
    gpu::launch(arriving_barrier_kernel, 1, 64, 0, nullptr, out);
    CHECK((out.get() == std::vector<int>(32, 7)));
  });
#if defined(FATHOM_KERNEL_HOST)
  DeviceArray<int> out(32);
  if (gpu::host::checked())
    expect_error("shared array `cell`", arrived_too_early_kernel, 1, 64, 0, out);
#endif
}

__global__ void exp2_kernel(const float* x, float* y) {
  y[threadIdx.x] = gpu::exp2_approximate(x[threadIdx.x]);
}
TEST_CASE("kernel host: exp2_approximate") {
  std::vector<float> x{0,      1,         -1,       0.5f, -125.9f,  -1e4f,
                       127.5f, -INFINITY, INFINITY, NAN,  3.14159f, -20.7f};
  x.resize(32, -3.3f);
  std::vector<double> expected, allowed;
  for (const float v : x) {
    expected.push_back(std::exp2(double(v)));
    allowed.push_back(0x1p-22 * expected.back() + 0x1p-126);
  }
  DeviceArray<float> in(x), out(x.size());
  gpu::launch(exp2_kernel, 1, 32, 0, nullptr, in, out);
  CHECK(within(out.get(), expected, allowed));
}

__global__ void last_block_kernel(float* partial, unsigned* ticket, float* total, bool fence) {
  partial[blockIdx.x] = static_cast<float>(blockIdx.x);
  if (fence) __threadfence();
  if (atomicAdd(ticket, 1u) == gridDim.x - 1) {
    float sum = 0;
    for (unsigned b = 0; b < gridDim.x; ++b) sum += partial[b];
    *total = sum;
  }
}
TEST_CASE("kernel host: the last block sums what fences ordered") {
  under_schedules(3, [] {
    DeviceArray<float> partial(8), total(1);
    DeviceArray<unsigned> ticket(std::vector<unsigned>{0});
    gpu::launch(last_block_kernel, 8, 1, 0, nullptr, partial, ticket, total, true);
    CHECK((total.get()[0] == 28.0f));
  });
#if defined(FATHOM_KERNEL_HOST)
  if (!gpu::host::checked()) return;
  DeviceArray<float> partial(8), total(1);
  DeviceArray<unsigned> ticket(std::vector<unsigned>{0});
  CHECK_THAT(error_of(last_block_kernel, 8, 1, 0, partial, ticket, total, false),
             Catch::Contains("which nothing orders"));
#endif
}

#if defined(FATHOM_KERNEL_HOST)
// One seed is one order: sums of floats that depend on it come out the same again.
__global__ void order_kernel(float* sum) {
  atomicAdd(sum, 1.0f / static_cast<float>(1 + threadIdx.x * 37 % 101));
  __syncwarp();
  atomicAdd(sum, 1e-3f * static_cast<float>(threadIdx.x));
}
TEST_CASE("kernel host: a seed repeats its schedule") {
  const auto run = [](uint64_t seed) {
    const auto saved = gpu::host::options();
    gpu::host::options() = {1, gpu::host::Order::random, gpu::host::Async::random, seed};
    DeviceArray<float> sum(std::vector<float>{0});
    gpu::launch(order_kernel, 3, 256, 0, nullptr, sum);
    gpu::host::options() = saved;
    return sum.get()[0];
  };
  bool differs = false;
  for (uint64_t seed = 1; seed < 8; ++seed) {
    CHECK((run(seed) == run(seed)));
    differs |= run(seed) != run(1);
  }
  CHECK((differs));
}
#endif

}  // namespace
}  // namespace fathom
