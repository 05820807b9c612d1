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

// Blocks of an outer sum, small enough for the second-level cache together with packed x and y.
constexpr int64_t kOuterBlock = 168, kOuterColumns = 192;
constexpr int64_t kOuterTasks = 64, kOuterSlice = 512;

template <class T>
void outer_sum(const OuterArgs<T>& o) {
  const GemmTable<T>& kernels = table<T>();
  const int64_t rows = std::min(o.I, kOuterBlock), columns = std::min(o.J, kOuterColumns);
  const int64_t row_blocks = ceil_div(o.I, rows), column_blocks = ceil_div(o.J, columns);
  const int64_t blocks = row_blocks * column_blocks;
  const int64_t slice = slice_rows(o.M, kOuterSlice, kOuterTasks / blocks);
  const int64_t slices = ceil_div(o.M, slice);
  const bool direct = slices == 1;
  Sum<T>* partials = direct ? o.out : scratch<Sum<T>>(Scratch::partials, slices * o.I * o.J);
  check(direct || o.out_stride == o.J, "outer_sum: out must have no gaps");

  parallel_for(slices * blocks, 1, [&](int64_t begin, int64_t end) {
    Sum<T>* memory = scratch<Sum<T>>(Scratch::task, kernels.outer_scratch(rows, columns));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t s = task / blocks, i = task % blocks % row_blocks * rows;
      const int64_t j = task % blocks / row_blocks * columns;
      OuterArgs<T> part = o;
      part.out = partials + s * o.I * o.J;
      kernels.outer(part, s * slice, std::min((s + 1) * slice, o.M), i, std::min(i + rows, o.I), j,
                    std::min(j + columns, o.J), memory);
    }
  });
  if (!direct) add_slices(partials, slices, o.I * o.J, o.out);
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
