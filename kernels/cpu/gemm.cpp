#include "kernels/cpu/gemm.h"

#include <algorithm>

#include "core/error.h"
#include "core/parallel.h"
#include "core/shape.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/slices.h"

namespace fathom::cpu {

template <class T>
static const GemmTable<T>& table() {
  const GemmKernels& kernels = gemm_kernels();
  if constexpr (std::same_as<T, float>)
    return kernels.f32;
  else if constexpr (std::same_as<T, double>)
    return kernels.f64;
  else
    return kernels.bf16;
}

template <class T>
int64_t packed_size(int64_t K, int64_t N) {
  return ceil_div(N, kPanel) * kPanel * (sizeof(T) == 2 ? round_up(K, 2) : K);
}

template <class T>
void pack(const T* b, int64_t b_stride, bool transposed, int64_t K, int64_t N, T* packed) {
  const auto pack_panels = table<T>().pack;
  parallel_for(
      ceil_div(N, kPanel), std::max<int64_t>(1, 65536 / (K * kPanel)),
      [=](int64_t p0, int64_t p1) { pack_panels(b, b_stride, transposed, K, N, p0, p1, packed); });
}

template <class T>
void unpack_transposed(const T* packed, int64_t K, int64_t N, T* b) {
  constexpr int64_t pair = sizeof(T) == 2 ? 2 : 1;
  const int64_t panel = round_up(K, pair) * kPanel;
  for (int64_t n = 0; n < N; ++n)
    for (int64_t k = 0; k < K; ++k)
      b[n * K + k] =
          packed[n / kPanel * panel + (k / pair * kPanel + n % kPanel) * pair + k % pair];
}

// A task is a block of C of about 16 million multiply-adds: long against the cost of a chunk,
// short against the whole, with its part of B in the second-level cache.
constexpr int64_t kTaskProducts = int64_t(1) << 24;
constexpr int64_t kBlockBytes = 400 << 10;

template <class T>
void gemm(const GemmArgs<T>& g) {
  const GemmTable<T>& kernels = table<T>();
  const int64_t all_panels = ceil_div(g.N, kPanel);
  const int64_t depth = std::min<int64_t>(g.K, 4096 / sizeof(T));
  int64_t panels = kBlockBytes / (depth * kPanel * int64_t(sizeof(T)));
  panels = std::max<int64_t>(panels / kernels.tile_panels, 1) * kernels.tile_panels;
  panels = ceil_div(all_panels, ceil_div(all_panels, panels));  // equal blocks
  panels = std::min(round_up(panels, kernels.tile_panels), all_panels);
  const int64_t strips =
      std::max<int64_t>(kTaskProducts / (panels * kPanel * g.K * kernels.tile_rows), 1);
  const int64_t all_strips = ceil_div(g.M, kernels.tile_rows);
  const int64_t row_blocks = ceil_div(all_strips, strips);
  const int64_t rows = ceil_div(all_strips, row_blocks) * kernels.tile_rows;
  const int64_t row_tasks = ceil_div(g.M, rows), column_tasks = ceil_div(all_panels, panels);

  parallel_for(row_tasks * column_tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {  // neighbours share their part of B
      const int64_t m0 = task % row_tasks * rows, p0 = task / row_tasks * panels;
      const int64_t m1 = std::min(m0 + rows, g.M), p1 = std::min(p0 + panels, all_panels);
      auto* memory = scratch<Sum<T>>(Scratch::task, kernels.block_scratch(m1 - m0, p1 - p0, g.K));
      kernels.block(g, m0, m1, p0, p1, memory);
    }
  });
}

// One block of an outer sum is this many tiles high and wide: with a packed chunk of y and x it
// stays in the second-level cache.
constexpr int64_t kOuterTiles = 12, kOuterPanels = 12;
// Enough tasks for the machines that train on a CPU; a slice must outweigh adding its sums.
constexpr int64_t kOuterTasks = 24, kOuterSlice = 512;
constexpr int64_t kChunksAtOnce = 4, kPackRows = 32;

/// Small outputs: each task packs its own slice of rows, nothing is packed twice.
template <class T>
static void outer_sum_by_rows(const OuterArgs<T>& o, int64_t slice, Sum<T>* partials) {
  const GemmTable<T>& kernels = table<T>();
  parallel_for(ceil_div(o.M, slice), 1, [&](int64_t begin, int64_t end) {
    std::byte* packed = scratch_bytes(Scratch::task, kernels.outer_bytes(o.I, o.J));
    for (int64_t s = begin; s < end; ++s) {
      OuterArgs<T> part = o;
      part.M = std::min((s + 1) * slice, o.M);
      part.out = partials + s * o.I * o.J;
      for (int64_t m = s * slice; m < part.M; m += kOuterRows) {
        kernels.outer_pack(part, m, 0, kOuterRows, packed);
        kernels.outer_add(part, packed, std::min(kOuterRows, part.M - m), 0, o.I, 0, o.J,
                          m > s * slice);
      }
    }
  });
}

/// Large outputs: all tasks use the same packed chunks, a few at a time; slice s takes every
/// slices-th of them.
template <class T>
static void outer_sum_by_blocks(const OuterArgs<T>& o, int64_t rows, int64_t columns,
                                int64_t slices, Sum<T>* partials, std::byte* packed) {
  const GemmTable<T>& kernels = table<T>();
  const int64_t row_blocks = ceil_div(o.I, rows), blocks = row_blocks * ceil_div(o.J, columns);
  const int64_t chunk_bytes = kernels.outer_bytes(o.I, o.J);
  for (int64_t first = 0; first < o.M; first += kChunksAtOnce * kOuterRows) {
    const int64_t M = std::min(kChunksAtOnce * kOuterRows, o.M - first);
    parallel_for(ceil_div(M, kPackRows), 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin * kPackRows; r < std::min(end * kPackRows, M); r += kPackRows) {
        const int64_t k = r % kOuterRows;
        kernels.outer_pack(o, first + r - k, k, k + kPackRows,
                           packed + r / kOuterRows * chunk_bytes);
      }
    });
    parallel_for(slices * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t s = task / blocks, i = task % blocks % row_blocks * rows;
        const int64_t j = task % blocks / row_blocks * columns;
        OuterArgs<T> part = o;
        part.out = partials + s * o.I * o.J;
        for (int64_t chunk = s; chunk * kOuterRows < M; chunk += slices)
          kernels.outer_add(
              part, packed + chunk * chunk_bytes, std::min(kOuterRows, M - chunk * kOuterRows), i,
              std::min(i + rows, o.I), j, std::min(j + columns, o.J), first > 0 || chunk > s);
      }
    });
  }
}

template <class T>
void outer_sum(const OuterArgs<T>& o) {
  check(o.out_stride == o.J, "outer_sum: out must have no gaps");
  const GemmTable<T>& kernels = table<T>();
  const int64_t rows = kOuterTiles * kernels.tile_rows, columns = kOuterPanels * kPanel;
  const int64_t blocks = ceil_div(o.I, rows) * ceil_div(o.J, columns),
                chunks = ceil_div(o.M, kOuterRows);
  const bool by_rows = blocks == 1;
  const int64_t slice = slice_rows(o.M, kOuterSlice, kOuterTasks);
  const int64_t slices =
      by_rows ? ceil_div(o.M, slice)
              : std::clamp<int64_t>(kOuterTasks / blocks, 1, std::min(kChunksAtOnce, chunks));
  const int64_t count = o.I * o.J, sums = slices > 1 ? round_up(slices * count, 16) : 0;
  const int64_t packed =
      by_rows ? 0 : std::min(kChunksAtOnce, chunks) * kernels.outer_bytes(o.I, o.J);
  std::byte* memory = scratch_bytes(Scratch::partials, sums * int64_t(sizeof(Sum<T>)) + packed);
  Sum<T>* partials = slices > 1 ? reinterpret_cast<Sum<T>*>(memory) : o.out;
  if (by_rows)
    outer_sum_by_rows(o, slice, partials);
  else
    outer_sum_by_blocks(o, rows, columns, slices, partials,
                        memory + sums * int64_t(sizeof(Sum<T>)));
  if (slices > 1) add_slices(partials, slices, count, o.out);
}

template <class T>
void column_sum(const T* x, int64_t x_stride, int64_t M, int64_t J, Sum<T>* out) {
  const int64_t slice = slice_rows(M, 256, 64), slices = ceil_div(M, slice);
  Sum<T>* partials = scratch<Sum<T>>(Scratch::partials, slices * J);
  parallel_for(slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s)
      table<T>().column_sum(x + s * slice * x_stride, x_stride, std::min(slice, M - s * slice), J,
                            partials + s * J);
  });
  add_slices(partials, slices, J, out);
}

#define FATHOM_INSTANTIATE(T)                                           \
  template int64_t packed_size<T>(int64_t, int64_t);                    \
  template void pack<T>(const T*, int64_t, bool, int64_t, int64_t, T*); \
  template void unpack_transposed<T>(const T*, int64_t, int64_t, T*);   \
  template void gemm<T>(const GemmArgs<T>&);                            \
  template void outer_sum<T>(const OuterArgs<T>&);                      \
  template void column_sum<T>(const T*, int64_t, int64_t, int64_t, Sum<T>*);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(double)
FATHOM_INSTANTIATE(Bf16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cpu
