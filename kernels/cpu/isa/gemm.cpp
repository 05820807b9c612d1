#include "kernels/cpu/gemm_kernels.h"

#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/isa/tile.h"

namespace fathom::cpu::FATHOM_ISA {

/// Terms summed in registers before the sums visit memory: a row strip of A and a pair of panels
/// of that depth stay near the core.
template <class T>
constexpr int64_t kBlockK = 4096 / int64_t(sizeof(T));

/// A strip of A as tiles read it: where it is, or widened into `copy`.
template <class T>
static const TileOperand<T>* operand(const T* a, int64_t& a_stride, int64_t rows, int64_t K,
                                     Acc<T>* copy) {
  if constexpr (sizeof(TileOperand<T>) == sizeof(T)) {
    return a;
  } else {
    for (int64_t i = 0; i < rows; ++i) {
      const T* from = a + i * a_stride;
      Acc<T>* to = copy + i * K;
      int64_t k = 0;
      for (; k + kLanes<T> <= K; k += kLanes<T>) store(to + k, load(from + k));
      for (; k < K; ++k) to[k] = to_float(from[k]);
    }
    a_stride = K;
    return copy;
  }
}

template <class T>
static int64_t block_scratch(int64_t rows, int64_t panels, int64_t K) {
  const int64_t strip = sizeof(TileOperand<T>) == sizeof(T) ? 0 : kTileRows<T> * kBlockK<T>;
  const int64_t sums = K > kBlockK<T> ? rows * panels * kPanel : 0;
  return strip + sums;
}

template <class T>
static void block(const GemmArgs<T>& g, int64_t m0, int64_t m1, int64_t p0, int64_t p1,
                  Acc<T>* scratch) {
  constexpr int kRows = kTileRows<T>, kPanels = kTilePanels<T>;
  constexpr int kColumns = kPanels * kPanel;
  const Finish<T> finish{g.epilogue, g.c, g.c_stride};
  const int64_t padded_k = padded<T>(g.K);
  const bool split = g.K > kBlockK<T>;
  Acc<T>* const strip = scratch;
  Acc<T>* const sums = scratch + (block_scratch<T>(0, 0, g.K));
  const int64_t sums_stride = (p1 - p0) * kPanel;
  alignas(64) Acc<T> corner[kRows * kColumns];

  for (int64_t k0 = 0; k0 < g.K; k0 += kBlockK<T>) {
    const int64_t depth = smaller(kBlockK<T>, g.K - k0);
    const bool last = k0 + depth == g.K;
    for (int64_t m = m0; m < m1; m += kRows) {
      const int rows = int(smaller(kRows, m1 - m));
      int64_t a_stride = g.a_stride;
      const auto* a = operand(g.a + m * g.a_stride + k0, a_stride, rows, depth, strip);
      for (int64_t p = p0; p < p1; p += kPanels) {
        const int panels = int(smaller(kPanels, p1 - p));
        Acc<T>* c = split ? sums + (m - m0) * sums_stride + (p - p0) * kPanel : corner;
        const int64_t c_stride = split ? sums_stride : kColumns;
        if (last) fetch_for_writing(g.c + m * g.c_stride + p * kPanel, g.c_stride, rows, panels);
        run_tile<T, Operand::kRows>(rows, panels,
                                    {.a = a,
                                     .a_stride = a_stride,
                                     .a_offset = kNoOffset,
                                     .b = g.b + (p * padded_k + k0) * kPanel,
                                     .b_panel = padded_k * kPanel,
                                     .b_segment = 0,
                                     .K = depth,
                                     .segments = 1,
                                     .accumulate = k0 > 0,
                                     .c = c,
                                     .c_stride = c_stride});
        if (!last) continue;
        const int64_t n = p * kPanel, columns = smaller(panels * kPanel, g.N - n);
        for (int i = 0; i < rows; ++i) finish.row(c + i * c_stride, m + i, n, columns);
      }
    }
  }
}

template <class T>
static void product(const T* a, int64_t a_stride, const T* b, int64_t panel_stride, int64_t rows,
                    int64_t panels, int64_t K, Acc<T>* c, int64_t c_stride, bool accumulate) {
  constexpr int kRows = kTileRows<T>, kPanels = kTilePanels<T>;
  constexpr bool kInPlace = sizeof(TileOperand<T>) == sizeof(T);
  constexpr int64_t kDepth = kInPlace ? int64_t(1) << 40 : 256;
  alignas(64) Acc<T> strip[kInPlace ? 1 : kRows * 256];
  for (int64_t m = 0; m < rows; m += kRows) {
    const int tile_rows = int(smaller(kRows, rows - m));
    for (int64_t k0 = 0; k0 < K; k0 += kDepth) {
      const int64_t depth = smaller(kDepth, K - k0);
      int64_t stride = a_stride;
      const auto* from = operand(a + m * a_stride + k0, stride, tile_rows, depth, strip);
      for (int64_t p = 0; p < panels; p += kPanels)
        run_tile<T, Operand::kRows>(tile_rows, int(smaller(kPanels, panels - p)),
                                    {.a = from,
                                     .a_stride = stride,
                                     .a_offset = kNoOffset,
                                     .b = b + p * panel_stride + k0 * kPanel,
                                     .b_panel = panel_stride,
                                     .b_segment = 0,
                                     .K = depth,
                                     .segments = 1,
                                     .accumulate = accumulate || k0 > 0,
                                     .c = c + m * c_stride + p * kPanel,
                                     .c_stride = c_stride});
    }
  }
}

/// Rows of x and y that `outer` packs at a time.
constexpr int64_t kOuterRows = 256;

/// In elements of the sums: the block itself, then a chunk of y and one of x, packed.
template <class T>
static int64_t outer_scratch(int64_t rows, int64_t columns) {
  return whole(rows * whole(columns, kPanel), 16) + whole(rows * kOuterRows, 16) +
         kOuterRows * whole(columns, kPanel);
}

template <class T>
static void outer(const OuterArgs<T>& o, int64_t m0, int64_t m1, int64_t i0, int64_t i1, int64_t j0,
                  int64_t j1, Acc<T>* scratch) {
  constexpr int kRows = kTileRows<T>, kPanels = kTilePanels<T>;
  const int64_t rows = i1 - i0, columns = j1 - j0, stride = whole(columns, kPanel);
  Acc<T>* const sums = scratch;
  auto* const y = reinterpret_cast<TileOperand<T>*>(sums + whole(rows * stride, 16));
  T* const x = reinterpret_cast<T*>(sums + whole(rows * stride, 16) + whole(rows * kOuterRows, 16));

  for (int64_t m = m0; m < m1; m += kOuterRows) {
    const int64_t depth = smaller(kOuterRows, m1 - m), panel = padded<T>(depth) * kPanel;
    pack(o.x + m * o.x_stride + j0, o.x_stride, false, depth, columns, 0, stride / kPanel, x);
    for (int64_t i = 0; i < rows; i += kRows)
      pack_interleaved(o.y + m * o.y_stride + i0 + i, o.y_stride, depth,
                       int(smaller(kRows, rows - i)), y + i * padded<T>(depth));
    for (int64_t p = 0; p < stride / kPanel; p += kPanels) {
      for (int64_t i = 0; i < rows; i += kRows) {
        const int tile_rows = int(smaller(kRows, rows - i));
        run_tile<T, Operand::kInterleaved>(tile_rows, int(smaller(kPanels, stride / kPanel - p)),
                                           {.a = y + i * padded<T>(depth),
                                            .a_stride = tile_rows * kPair<T>,
                                            .a_offset = kNoOffset,
                                            .b = x + p * panel,
                                            .b_panel = panel,
                                            .b_segment = 0,
                                            .K = depth,
                                            .segments = 1,
                                            .accumulate = m > m0,
                                            .c = sums + i * stride + p * kPanel,
                                            .c_stride = stride});
      }
    }
  }
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      o.out[(i0 + i) * o.out_stride + j0 + j] = sums[i * stride + j];
}

template <class T>
static void column_sum(const T* x, int64_t x_stride, int64_t rows, int64_t columns, Acc<T>* out) {
  constexpr int kVecs = 4, kBlock = kVecs * kLanes<T>;
  int64_t j = 0;
  for (; j + kBlock <= columns; j += kBlock) {
    Vec<Acc<T>> sums[kVecs] = {};
    for (int64_t m = 0; m < rows; ++m)
      for (int v = 0; v < kVecs; ++v) sums[v] += load(x + m * x_stride + j + v * kLanes<T>);
    for (int v = 0; v < kVecs; ++v) store(out + j + v * kLanes<T>, sums[v]);
  }
  for (; j < columns; j += kLanes<T>) {
    const int count = int(smaller(kLanes<T>, columns - j));
    Vec<Acc<T>> sum{};
    for (int64_t m = 0; m < rows; ++m) sum += load(x + m * x_stride + j, count);
    store(out + j, sum, count);
  }
}

template <class T>
static constexpr GemmTable<T> table() {
  return {.tile_rows = kTileRows<T>,
          .tile_panels = kTilePanels<T>,
          .block = block<T>,
          .block_scratch = block_scratch<T>,
          .product = product<T>,
          .pack = pack<T>,
          .outer = outer<T>,
          .outer_scratch = outer_scratch<T>,
          .column_sum = column_sum<T>};
}

extern const GemmKernels gemm_kernels;
const GemmKernels gemm_kernels{
    .f32 = table<float>(), .f64 = table<double>(), .bf16 = table<Bf16>()};

}  // namespace fathom::cpu::FATHOM_ISA
