#include "kernels/cpu/conv_kernels.h"

#include "kernels/cpu/isa/conv_rows.h"
#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/isa/tile.h"

namespace fathom::cpu::FATHOM_ISA {

// ---- forward, and the gradient of the input -----------------------------------------------------

template <class T>
static int64_t block_scratch(const ConvArgs<T>& g, int64_t columns) {
  return 3 * sums_for<T>((columns + 2) * g.x.channels) + sums_for<T>(g.x.width * g.x.channels) +
         sums_for<T>(columns);
}

template <class T>
static void block(const ConvArgs<T>& g, int64_t b, int64_t y0, int64_t y1, int64_t x0, int64_t x1,
                  Acc<T>* scratch) {
  using A = TileOperand<T>;
  constexpr int kRows = kTileRows<T>, kPanels = kTilePanels<T>, kColumns = kPanels * kPanel;
  const int64_t C = g.x.channels, columns = x1 - x0, depth = 3 * C;
  const int64_t row_size = sums_for<T>((columns + 2) * C);
  A* const rows = reinterpret_cast<A*>(scratch);  // a ring of three, row y in slot (y + 1) % 3
  const int64_t row_step = row_size * int64_t(sizeof(Acc<T>) / sizeof(A));
  Acc<T>* const line = scratch + 3 * row_size;
  Acc<T>* const totals = line + sums_for<T>(g.x.width * C);
  const Finish<T> finish{g.epilogue, g.y, g.OC};
  const bool plain = is_plain(g.epilogue) && !g.head.y;
  const int64_t panels = (g.OC + kPanel - 1) / kPanel, panel = 3 * padded<T>(depth) * kPanel;
  const int64_t tiles = (columns + kRows - 1) / kRows;  // of equal widths, or one less
  alignas(64) Acc<T> corner[kRows * kColumns];

  for (int64_t y = y0 - 1; y <= y0; ++y)
    fill_row(g.x, g.H, g.W, b, y, x0, x1, rows + (y + 1) % 3 * row_step, line);
  for (int64_t y = y0; y < y1; ++y) {
    fill_row(g.x, g.H, g.W, b, y + 1, x0, x1, rows + (y + 2) % 3 * row_step, line);
    const int64_t offsets[3] = {y % 3 * row_step, (y + 1) % 3 * row_step, (y + 2) % 3 * row_step};
    if (g.head.y)
      for (int64_t x = 0; x < columns; ++x) totals[x] = 0;
    for (int64_t p = 0; p < panels; p += kPanels) {
      const int tile_panels = int(smaller(kPanels, panels - p));
      const int64_t n = p * kPanel, tile_columns = smaller(tile_panels * kPanel, g.OC - n);
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t x = columns * tile / tiles;
        const int tile_rows = int(columns * (tile + 1) / tiles - x);
        const int64_t pixel = (b * g.H + y) * g.W + x0 + x;
        if (!g.head.y) fetch_for_writing(g.y + pixel * g.OC + n, g.OC, tile_rows, tile_panels);
        TileArgs<T> sums{.a = rows + x * C,
                         .a_stride = C,
                         .a_offset = offsets,
                         .b = g.weight + p * panel,
                         .b_panel = panel,
                         .b_segment = padded<T>(depth) * kPanel,
                         .K = depth,
                         .segments = 3,
                         .init = nullptr,
                         .init_stride = 0,
                         .c = corner,
                         .c_stride = kColumns};
        const bool direct = plain && tile_columns == tile_panels * kPanel;
        if constexpr (sizeof(T) == sizeof(Acc<T>)) {
          if (direct) {
            sums.init = g.epilogue.bias ? g.epilogue.bias + n : nullptr;
            sums.c = g.y + pixel * g.OC + n;
            sums.c_stride = g.OC;
          }
        }
        run_tile<T, Operand::kRows>(tile_rows, tile_panels, sums);
        if (direct) continue;
        if (g.head.y) {
          for (int i = 0; i < tile_rows; ++i)
            add_to_head(g, corner + i * kColumns, n, tile_columns, pixel + i, totals + x + i);
        } else {
          finish.tile(corner, kColumns, pixel, tile_rows, n, tile_columns);
        }
      }
    }
    if (g.head.y) finish_head(g.head, totals, columns, g.head.y + (b * g.H + y) * g.W + x0);
  }
}

// ---- the gradient of the weight -----------------------------------------------------------------

/// Output rows whose pixels one tile sums before it stores: long sums, but not more than fit.
static int64_t window_rows(int64_t W) { return smaller(larger((511 + W) / W, 2), 16); }

/// Copies of the input rows that start at even and at odd pixels, so that Bf16 finds its pairs.
template <class T>
constexpr int kPhases = kPair<T>;

template <class T>
struct GradientScratch {
  int64_t sums, x_row, x, y_row, y, buffer, line, total;  // sizes in elements of Sum
  GradientScratch(const ConvGradientArgs<T>& g, int64_t outputs, int64_t inputs) {
    const int64_t R = window_rows(g.W);
    sums = outputs * 9 * whole(inputs, kPanel);
    x_row = whole(g.W + 2, 2) * whole(inputs, kPanel);
    x = (R + 2) * kPhases<T> * x_row;
    y_row = whole(whole(g.W, 2) * outputs, 16);
    y = R * y_row;
    buffer = whole((g.W + 2) * larger(g.x.channels, g.OC), 16);
    line = whole(g.x.width * g.x.channels, 16);
    total = sums + x + y + buffer + line;
  }
};

template <class T>
static int64_t gradient_scratch(const ConvGradientArgs<T>& g, int64_t outputs, int64_t inputs) {
  return GradientScratch<T>(g, outputs, inputs).total;
}

template <class T>
static void gradient(const ConvGradientArgs<T>& g, int64_t r0, int64_t r1, int64_t o0, int64_t o1,
                     int64_t i0, int64_t i1, Acc<T>* scratch) {
  using A = TileOperand<T>;
  constexpr int kRows = kTileRows<T>, kPanels = kTilePanels<T>;
  const int64_t C = g.x.channels, outputs = o1 - o0, inputs = i1 - i0;
  const int64_t panels = (inputs + kPanel - 1) / kPanel, width = panels * kPanel;
  const GradientScratch<T> size(g, outputs, inputs);
  Acc<T>* const sums = scratch;  // [outputs][9][width]
  T* const x_rows = reinterpret_cast<T*>(sums + size.sums);
  A* const y_rows = reinterpret_cast<A*>(sums + size.sums + size.x);
  T* const buffer = reinterpret_cast<T*>(sums + size.sums + size.x + size.y);
  Acc<T>* const line = sums + size.sums + size.x + size.y + size.buffer;
  const int64_t x_panel = whole(g.W + 2, 2) * kPanel;
  const int64_t x_row = x_panel * panels, y_row = size.y_row;
  const int64_t y_depth = padded<T>(g.W);

  int64_t offsets[16];
  for (int r = 0; r < 16; ++r) offsets[r] = r * y_row;
  for (int64_t i = 0; i < size.sums; ++i) sums[i] = 0;

  for (int64_t row = r0; row < r1;) {
    const int64_t b = row / g.H, y = row % g.H;
    const int64_t count = smaller(smaller(window_rows(g.W), r1 - row), g.H - y);
    for (int64_t r = 0; r < count + 2; ++r) {
      fill_row(g.x, g.H, g.W, b, y + r - 1, 0, g.W, buffer, line);
      for (int phase = 0; phase < kPhases<T>; ++phase) {
        T* to = x_rows + (r * kPhases<T> + phase) * x_row;
        for (int64_t p = 0; p < panels; ++p)
          pack(buffer + phase * C + i0 + p * kPanel, C, false, g.W + 2 - phase, inputs - p * kPanel,
               0, 1, to + p * x_panel);
      }
    }
    for (int64_t r = 0; r < count; ++r) {
      const int64_t at = (row + r) * g.W * g.OC;
      const T* dy = g.dy + at;
      if (g.dy_mask) {
        copy_values(dy, g.dy_mask + at, false, g.W * g.OC, buffer);
        dy = buffer;
      }
      pack_strips(dy + o0, g.OC, 0, g.W, g.W, outputs, y_rows + r * y_row, kRows * y_depth);
    }
    for (int64_t p = 0; p < panels; p += kPanels) {
      for (int ky = 0; ky < 3; ++ky) {
        for (int64_t o = 0; o < outputs; o += kRows) {
          const int tile_rows = int(smaller(kRows, outputs - o));
          for (int kx = 0; kx < 3; ++kx)
            run_tile<T, Operand::kInterleaved>(
                tile_rows, int(smaller(kPanels, panels - p)),
                {.a = y_rows + o * y_depth,
                 .a_stride = tile_rows * kPair<T>,
                 .a_offset = offsets,
                 .b = x_rows + (ky * kPhases<T> + kx % kPhases<T>)*x_row + p * x_panel +
                      (kx - kx % kPhases<T>)*kPanel,
                 .b_panel = x_panel,
                 .b_segment = kPhases<T> * x_row,
                 .K = g.W,
                 .segments = int(count),
                 .init = sums + (o * 9 + ky * 3 + kx) * width + p * kPanel,
                 .init_stride = 9 * width,
                 .c = sums + (o * 9 + ky * 3 + kx) * width + p * kPanel,
                 .c_stride = 9 * width});
        }
      }
    }
    row += count;
  }
  for (int64_t o = 0; o < outputs; ++o)
    for (int tap = 0; tap < 9; ++tap)
      each_vector<Acc<T>>(inputs, [&](int64_t i, auto... count) {
        store(g.dweight + ((o0 + o) * 9 + tap) * C + i0 + i,
              load(sums + (o * 9 + tap) * width + i, count...), count...);
      });
}

template <class T>
static constexpr ConvTable<T> table() {
  return {.tile_rows = kTileRows<T>,
          .block = block<T>,
          .block_scratch = block_scratch<T>,
          .gradient = gradient<T>,
          .gradient_scratch = gradient_scratch<T>};
}

extern const ConvKernels conv_kernels;
const ConvKernels conv_kernels{
    .f32 = table<float>(), .f64 = table<double>(), .bf16 = table<Bf16>()};

}  // namespace fathom::cpu::FATHOM_ISA
