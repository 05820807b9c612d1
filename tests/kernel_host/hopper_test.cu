// The copy engine and wgmma: what each primitive computes, and a product made of them.
#include "core/gpu/hopper.h"
#include "tests/kernel_host/testing.h"
#include "tests/kernel_host/wgmma_gemm.h"

namespace fathom {
namespace {

using bf16 = __nv_bfloat16;

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

}  // namespace

TEST_CASE("wgmma_gemm: matches its definition") {
  const int m = 64, n = 128, k = 64 * 5;
  const auto a = normal<bfloat16>(m * k, 1), b = normal<bfloat16>(n * k, 2);
  std::vector<double> expected(m * n), allowed(m * n);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double magnitude = 0;
      for (int l = 0; l < k; ++l) {
        const double product = double(float(a[i * k + l])) * double(float(b[j * k + l]));
        expected[i * n + j] += product;
        magnitude += std::abs(product);
      }
      allowed[i * n + j] = k * epsilon(DType::f32) * magnitude;  // a sum of k terms in float
    }
  under_schedules(2, [&] {
    DeviceArray<bfloat16> da(a), db(b);
    DeviceArray<float> c(expected.size());
    wgmma_gemm(nullptr, da, db, c, m, n, k);
    CHECK(within(c.get(), expected, allowed));
  });
}

}  // namespace fathom
