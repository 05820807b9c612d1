// The layer itself: what each primitive computes, and that each broken rule is reported.
#include "core/gpu/hopper.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

using gpu::kFullWarp;
using bf16 = __nv_bfloat16;

#if defined(FATHOM_KERNEL_HOST)
// What the launch throws; empty if nothing.
template <class... P>
std::string error_of(void (*kernel)(P...), unsigned grid, dim3 block, size_t shared,
                     std::type_identity_t<P>... args) {
  try {
    gpu::launch(kernel, grid, block, shared, nullptr, args...);
  } catch (const gpu::KernelError& e) {
    return e.what();
  }
  return {};
}

// The kernel must fail with a message that contains `text`, under every schedule.
template <class... P>
void expect_error(const char* text, void (*kernel)(P...), unsigned grid, dim3 block, size_t shared,
                  std::type_identity_t<P>... args) {
  under_schedules(2, [&] {
    CHECK_THAT(error_of(kernel, grid, block, shared, args...), Catch::Contains(text));
  });
}

#endif

// ---- what primitives compute --------------------------------------------------------------------

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
TEST_CASE("kernel host: warps may arrive at a named barrier without waiting") {
  under_schedules(3, [] {
    DeviceArray<int> out(32);
    gpu::launch(arriving_barrier_kernel, 1, 64, 0, nullptr, out);
    CHECK((out.get() == std::vector<int>(32, 7)));
  });
#if defined(FATHOM_KERNEL_HOST)
  DeviceArray<int> out(32);
  if (gpu::host::checked()) CHECK(!error_of(arrived_too_early_kernel, 1, 64, 0, out).empty());
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

__global__ void proxy_kernel(float* out, bool fence) {
  gpu::DynamicShared shared;
  bf16* a = shared.take<bf16>(64 * 64, 1024);
  for (unsigned i = threadIdx.x; i < 64 * 64; i += 128) a[i] = __float2bfloat16(1.0f);
  if (fence) gpu::fence_proxy_async();
  __syncthreads();
  float c[32];
  gpu::wgmma_fence();
  gpu::wgmma_transposed<bf16, 64>(c, gpu::tile_descriptor(a), gpu::tile_descriptor(a), false);
  gpu::wgmma_commit();
  gpu::wgmma_wait<0>(c);
  out[threadIdx.x] = c[5];
}
TEST_CASE("kernel host: wgmma sees stores after a proxy fence only") {
  under_schedules(2, [] {
    DeviceArray<float> out(128);
    gpu::launch(proxy_kernel, 1, 128, 8192, nullptr, out, true);
    CHECK((out.get() == std::vector<float>(128, 16.0f)));
  });
#if defined(FATHOM_KERNEL_HOST)
  DeviceArray<float> out(128);
  if (gpu::host::checked())
    expect_error("without a fence_proxy_async", proxy_kernel, 1, 128, 8192, out, false);
#endif
}

// Element (row, column) of a tile as the copy engine swizzles it.
__device__ int swizzled(int row, int column) {
  return row * 64 + (column / 8 ^ row % 8) * 8 + column % 8;
}

// Reads the box at row 2, third 1, fourth 1 of `in`, writes it out, and copies it to row 3, third
// 2, fourth 0 of `copy`.
__global__ void tensor_kernel(const __grid_constant__ gpu::TensorMap in,
                              const __grid_constant__ gpu::TensorMap copy, bf16* out, bool wait) {
  if constexpr (gpu::kHopper) {
    gpu::DynamicShared shared;
    bf16* const tile = shared.take<bf16>(8 * 64, 1024);
    GPU_SHARED(full, gpu::Barrier);
    const int thread = static_cast<int>(threadIdx.x);
    if (thread == 0) {
      full.init(1);
      gpu::fence_barrier_init();
      full.arrive_expect(8 * 64 * 2);
      gpu::tensor_load(tile, in, full, 0, 2, 1, 1);
    }
    __syncthreads();
    full.wait(0);
    for (int i = thread; i < 8 * 64; i += 32) out[i] = tile[swizzled(i / 64, i % 64)];
    if (thread == 0) {
      gpu::tensor_store(copy, tile, 0, 3, 2, 0);
      gpu::tensor_store_commit();
      if (wait) gpu::tensor_store_wait<0>();
    }
  }
}
TEST_CASE("kernel host: boxes of an array of four dimensions") {
  const int64_t fourths = 2, rows = 5, thirds = 3;
  const auto at = [&](int64_t fourth, int64_t row, int64_t third) {
    return ((fourth * rows + row) * thirds + third) * 64;
  };
  const auto values = normal<bfloat16>(fourths * rows * thirds * 64, 1);
  const std::vector<bfloat16> before(values.size(), bfloat16(9.0f));
  const auto map_of = [&](bfloat16* p) {
    return gpu::make_tensor_map(reinterpret_cast<const bf16*>(p), {64, rows, thirds, fourths},
                                {thirds * 64, 64, rows * thirds * 64}, 8);
  };
  under_schedules(2, [&] {
    DeviceArray<bfloat16> in(values), copy(before), out(8 * 64);
    gpu::launch(tensor_kernel, 1, 32, 1024, nullptr, map_of(in), map_of(copy),
                reinterpret_cast<bf16*>(static_cast<bfloat16*>(out)), true);
    const auto box = out.get(), copied = copy.get();
    std::vector<bfloat16> expected = before;
    for (int64_t r = 0; r < 8; ++r)
      for (int64_t c = 0; c < 64; ++c) {
        const bfloat16 value = 2 + r < rows ? values[at(1, 2 + r, 1) + c] : bfloat16(0.0f);
        CHECK((box[r * 64 + c].bits == value.bits));
        if (3 + r < rows) expected[at(0, 3 + r, 2) + c] = value;
      }
    for (size_t i = 0; i < expected.size(); ++i) CHECK((copied[i].bits == expected[i].bits));
  });
#if defined(FATHOM_KERNEL_HOST)
  DeviceArray<bfloat16> in(values), copy(before), out(8 * 64);
  CHECK_THAT(error_of(tensor_kernel, 1, 32, 1024, map_of(in), map_of(copy),
                      reinterpret_cast<bf16*>(static_cast<bfloat16*>(out)), false),
             Catch::Contains("tensor_store that it never waited for"));
#endif
}

// c = a b^T and d = a e for a [64, 64], b [N, 64] and e [64, 64]; a comes once from shared memory
// and once from registers.
template <class T, int N>
__global__ void wgmma_kernel(const T* a, const T* b, const T* e, float* c, float* d) {
  if constexpr (gpu::kHopper) {
    gpu::DynamicShared shared;
    T* const a_tile = shared.take<T>(64 * 64, 1024);
    T* const b_tile = shared.take<T>(N * 64, 1024);
    T* const e_tile = shared.take<T>(64 * 64, 1024);
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, g = thread % 32 / 4,
              t = thread % 4;
    for (int i = thread; i < 64 * 64; i += 128) {
      a_tile[swizzled(i / 64, i % 64)] = a[i];
      e_tile[swizzled(i / 64, i % 64)] = e[i];
    }
    for (int i = thread; i < N * 64; i += 128) b_tile[swizzled(i / 64, i % 64)] = b[i];
    gpu::fence_proxy_async();
    __syncthreads();

    float x[N / 2], y[32];
    uint32_t rows[4][4];
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        rows[k][i] = *reinterpret_cast<const uint32_t*>(a + (warp * 16 + g + i % 2 * 8) * 64 +
                                                        k * 16 + t * 2 + i / 2 * 8);
    gpu::wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k)
      gpu::wgmma_transposed<T, N>(x, gpu::tile_descriptor(a_tile) + 2 * k,
                                  gpu::tile_descriptor(b_tile) + 2 * k, k > 0);
    gpu::wgmma_commit();
#pragma unroll
    for (int k = 0; k < 4; ++k)
      gpu::wgmma_rows<T>(y, rows[k], gpu::tile_descriptor(e_tile) + 128 * k, k > 0);
    gpu::wgmma_commit();
    gpu::wgmma_wait<1>(x);
#pragma unroll
    for (int i = 0; i < N / 2; ++i)
      c[(warp * 16 + g + i / 2 % 2 * 8) * N + i / 4 * 8 + t * 2 + i % 2] = x[i];
    gpu::wgmma_wait<0>(y);
#pragma unroll
    for (int i = 0; i < 32; ++i)
      d[(warp * 16 + g + i / 2 % 2 * 8) * 64 + i / 4 * 8 + t * 2 + i % 2] = y[i];
  }
}
template <class E, class T, int N>
void check_wgmma() {
  CAPTURE(dtype_of<E>(), N);
  const auto a = normal<E>(64 * 64, 1), b = normal<E>(N * 64, 2), e = normal<E>(64 * 64, 3);
  std::vector<double> c(64 * N), d(64 * 64), c_allowed(c.size()), d_allowed(d.size());
  const auto add = [&](std::vector<double>& sum, std::vector<double>& allowed, int at, E x, E y) {
    const double product = double(float(x)) * double(float(y));
    sum[at] += product;
    allowed[at] += 64 * epsilon(DType::f32) * std::abs(product);  // a sum of 64 terms in float
  };
  for (int m = 0; m < 64; ++m)
    for (int k = 0; k < 64; ++k) {
      for (int n = 0; n < N; ++n) add(c, c_allowed, m * N + n, a[m * 64 + k], b[n * 64 + k]);
      for (int n = 0; n < 64; ++n) add(d, d_allowed, m * 64 + n, a[m * 64 + k], e[k * 64 + n]);
    }
  under_schedules(0, [&] {
    DeviceArray<E> da(a), db(b), de(e);
    DeviceArray<float> dc(c.size()), dd(d.size());
    const auto raw = [](E* p) { return reinterpret_cast<const T*>(p); };
    gpu::launch(wgmma_kernel<T, N>, 1, 128, (128 + N) * 128, nullptr, raw(da), raw(db), raw(de), dc,
                dd);
    CHECK(within(dc.get(), c, c_allowed));
    CHECK(within(dd.get(), d, d_allowed));
  });
}
TEST_CASE("kernel host: wgmma multiplies by the documented fragments and layouts") {
  check_wgmma<bfloat16, bf16, 32>();
  check_wgmma<bfloat16, bf16, 64>();
  check_wgmma<bfloat16, bf16, 96>();
  check_wgmma<float16, __half, 96>();
  check_wgmma<float16, __half, 128>();
}

#if defined(FATHOM_KERNEL_HOST)

// ---- broken rules -------------------------------------------------------------------------------

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

#endif  // FATHOM_KERNEL_HOST

}  // namespace
}  // namespace fathom
