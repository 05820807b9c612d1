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
  const bool plain = is_plain(g.epilogue);
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
        const int64_t n = p * kPanel, columns = smaller(panels * kPanel, g.N - n);
        const bool direct = plain && columns == panels * kPanel;
        T* const c = g.c + m * g.c_stride + n;
        TileArgs<T> tile{.a = a,
                         .a_stride = a_stride,
                         .a_offset = kNoOffset,
                         .b = g.b + (p * padded_k + k0) * kPanel,
                         .b_panel = padded_k * kPanel,
                         .b_segment = 0,
                         .K = depth,
                         .segments = 1,
                         .init = nullptr,
                         .init_stride = 0,
                         .c = split ? sums + (m - m0) * sums_stride + (n - p0 * kPanel) : corner,
                         .c_stride = split ? sums_stride : kColumns};
        if (k0 > 0) {
          tile.init = tile.c;
          tile.init_stride = tile.c_stride;
        }
        if constexpr (sizeof(T) == sizeof(Acc<T>)) {
          if (direct && k0 == 0) tile.init = g.epilogue.bias ? g.epilogue.bias + n : nullptr;
          if (direct && last) {
            tile.c = c;
            tile.c_stride = g.c_stride;
          }
        }
        if (last) fetch_for_writing(c, g.c_stride, rows, panels);
        run_tile<T, Operand::kRows>(rows, panels, tile);
        if (!last || direct) continue;
        finish.tile(tile.c, tile.c_stride, m, rows, n, columns);
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
        run_tile<T, Operand::kRows>(
            tile_rows, int(smaller(kPanels, panels - p)),
            {.a = from,
             .a_stride = stride,
             .a_offset = kNoOffset,
             .b = b + p * panel_stride + k0 * kPanel,
             .b_panel = panel_stride,
             .b_segment = 0,
             .K = depth,
             .segments = 1,
             .init = accumulate || k0 > 0 ? c + m * c_stride + p * kPanel : nullptr,
             .init_stride = c_stride,
             .c = c + m * c_stride + p * kPanel,
             .c_stride = c_stride});
    }
  }
}

// Distances of the packed strips of y and panels of x of a chunk: a line more than they need, so
// that the same row of all of them falls into different sets of the first-level cache.
template <class T>
constexpr int64_t kStrip = kTileRows<T>* kOuterRows + 16;
constexpr int64_t kOuterPanel = kOuterRows * kPanel + 64;

template <class T>
static int64_t strips_bytes(int64_t I) {
  const int64_t strips = (I + kTileRows<T> - 1) / kTileRows<T>;
  return whole(strips * kStrip<T> * int64_t(sizeof(TileOperand<T>)), 64);
}

template <class T>
static int64_t outer_bytes(int64_t I, int64_t J) {
  return strips_bytes<T>(I) + (J + kPanel - 1) / kPanel * kOuterPanel * int64_t(sizeof(T));
}

template <class T>
static void outer_pack(const OuterArgs<T>& o, int64_t m, int64_t k0, int64_t k1,
                       std::byte* packed) {
  const int64_t depth = smaller(kOuterRows, o.M - m);
  auto* const y = reinterpret_cast<TileOperand<T>*>(packed);
  T* const x = reinterpret_cast<T*>(packed + strips_bytes<T>(o.I));
  pack_strips(o.y + m * o.y_stride, o.y_stride, k0, smaller(k1, depth), depth, o.I, y, kStrip<T>);
  pack_rows(o.x + m * o.x_stride, o.x_stride, k0, smaller(k1, depth), depth, o.J, x, kOuterPanel);
}

template <class T>
static void outer_add(const OuterArgs<T>& o, const std::byte* packed, int64_t depth, int64_t i0,
                      int64_t i1, int64_t j0, int64_t j1, bool accumulate) {
  constexpr int kRows = kTileRows<T>, kPanels = kTilePanels<T>, kColumns = kPanels * kPanel;
  const auto* const y = reinterpret_cast<const TileOperand<T>*>(packed);
  const T* const x = reinterpret_cast<const T*>(packed + strips_bytes<T>(o.I));
  alignas(64) Acc<T> corner[kRows * kColumns];
  for (int64_t j = j0; j < j1; j += kColumns) {
    const int64_t columns = smaller(kColumns, j1 - j);
    const bool edge = columns % kPanel != 0;  // its tile is wider than out
    for (int64_t i = i0; i < i1; i += kRows) {
      const int rows = int(smaller(kRows, o.I - i)), panels = int((columns + kPanel - 1) / kPanel);
      Acc<T>* const out = o.out + i * o.out_stride + j;
      if (!edge) fetch_for_writing(out, o.out_stride, rows, panels);
      run_tile<T, Operand::kInterleaved>(rows, panels,
                                         {.a = y + i / kRows * kStrip<T>,
                                          .a_stride = rows * kPair<T>,
                                          .a_offset = kNoOffset,
                                          .b = x + j / kPanel * kOuterPanel,
                                          .b_panel = kOuterPanel,
                                          .b_segment = 0,
                                          .K = depth,
                                          .segments = 1,
                                          .init = accumulate && !edge ? out : nullptr,
                                          .init_stride = o.out_stride,
                                          .c = edge ? corner : out,
                                          .c_stride = edge ? kColumns : o.out_stride});
      if (!edge) continue;
      for (int r = 0; r < rows; ++r)
        each_vector<Acc<T>>(columns, [&](int64_t c, auto... count) {
          auto v = load(corner + r * kColumns + c, count...);
          if (accumulate) v += load(out + r * o.out_stride + c, count...);
          store(out + r * o.out_stride + c, v, count...);
        });
    }
  }
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
          .outer_bytes = outer_bytes<T>,
          .outer_pack = outer_pack<T>,
          .outer_add = outer_add<T>,
          .column_sum = column_sum<T>};
}

extern const GemmKernels gemm_kernels;
const GemmKernels gemm_kernels{
    .f32 = table<float>(), .f64 = table<double>(), .bf16 = table<Bf16>()};

}  // namespace fathom::cpu::FATHOM_ISA
