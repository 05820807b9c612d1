#include "kernels/cpu/winograd_kernels.h"

#include "kernels/cpu/isa/conv_rows.h"
#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/isa/tile.h"
#include "kernels/cpu/isa/winograd_tiles.h"

namespace fathom::cpu::FATHOM_ISA {

// ---- forward, and the gradient of the input -----------------------------------------------------

/// Where a chunk keeps its values: the transformed tiles of one point lie together,
/// [tile][channel], and points are a line more than they need apart, off each other's cache sets.
struct ForwardLayout {
  int64_t tiles, row, line, outputs;  // sizes in floats
  int64_t v_point, m_point;           // from point to point
  int64_t rows_at, line_at, v_at, m_at, tile_at, totals_at, total;
  ForwardLayout(const ConvArgs<float>& g, WinogradChunk chunk) {
    const int64_t C = g.x.channels;
    tiles = chunk.rows * chunk.columns;
    row = whole((kOut * chunk.columns + 2) * C, 16);
    line = whole(g.x.width * C, 16);
    outputs = whole(g.OC, kPanel);
    v_point = whole(tiles * C, 16) + 16;
    m_point = tiles * outputs + 16;
    rows_at = 0;
    line_at = rows_at + (kOut * chunk.rows + 2) * row;
    v_at = line_at + line;
    m_at = v_at + kPoints * v_point;
    tile_at = m_at + kPoints * m_point;
    totals_at = tile_at + kOut * kOut * outputs;
    total = totals_at + whole(kOut * kOut * chunk.columns, 16);
  }
};

static int64_t block_scratch(const ConvArgs<float>& g, WinogradChunk chunk) {
  return ForwardLayout(g, chunk).total;
}

/// A^T m A of one tile, all channels, to y [kOut][kOut][outputs].
[[gnu::noinline]] static void transform_back(const float* m, int64_t m_point, int64_t outputs,
                                             float* y) {
  for (int64_t c = 0; c < outputs; c += kFloats) {
    V t[kOut][kIn];
#pragma GCC unroll 6
    for (int j = 0; j < kIn; ++j) {
      V column[kIn];
#pragma GCC unroll 6
      for (int i = 0; i < kIn; ++i) column[i] = load(m + (i * kIn + j) * m_point + c);
      transform_output(column);
#pragma GCC unroll 4
      for (int i = 0; i < kOut; ++i) t[i][j] = column[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < kOut; ++i) {
      transform_output(t[i]);
#pragma GCC unroll 4
      for (int j = 0; j < kOut; ++j) store(y + (i * kOut + j) * outputs + c, t[i][j]);
    }
  }
}

/// m[tile][output] = v[tile][channel] u for one point.
static void multiply_point(const float* v, int64_t tiles, int64_t C, const float* u,
                           int64_t outputs, float* m) {
  constexpr int kRows = kTileRows<float>, kPanels = kTilePanels<float>;
  const int64_t panels = outputs / kPanel, parts = (tiles + kRows - 1) / kRows;
  for (int64_t p = 0; p < panels; p += kPanels)
    for (int64_t part = 0; part < parts; ++part) {  // of equal heights, or one less
      const int64_t t = tiles * part / parts;
      run_tile<float, Operand::kRows>(int(tiles * (part + 1) / parts - t),
                                      int(smaller(kPanels, panels - p)),
                                      {.a = v + t * C,
                                       .a_stride = C,
                                       .a_offset = kNoOffset,
                                       .b = u + p * C * kPanel,
                                       .b_panel = C * kPanel,
                                       .b_segment = 0,
                                       .K = C,
                                       .segments = 1,
                                       .init = nullptr,
                                       .init_stride = 0,
                                       .c = m + t * outputs + p * kPanel,
                                       .c_stride = outputs});
    }
}

static void block(const ConvArgs<float>& g, WinogradChunk chunk, int64_t b, int64_t tile_y,
                  int64_t tile_x, float* scratch) {
  const ForwardLayout at(g, chunk);
  const int64_t C = g.x.channels, x0 = tile_x * kOut, y0 = tile_y * kOut;
  const int64_t height = smaller(kOut * chunk.rows, g.H - y0);
  const int64_t width = smaller(kOut * chunk.columns, g.W - x0);
  const int64_t tile_rows = (height + kOut - 1) / kOut, tile_columns = (width + kOut - 1) / kOut;
  const int64_t tiles = tile_rows * tile_columns;
  float *const rows = scratch + at.rows_at, *const v = scratch + at.v_at;
  float *const m = scratch + at.m_at, *const y = scratch + at.tile_at;
  float* const totals = scratch + at.totals_at;

  for (int64_t r = 0; r < kOut * tile_rows + 2; ++r)
    fill_row(g.x, g.H, g.W, b, y0 + r - 1, x0, x0 + kOut * tile_columns, rows + r * at.row,
             scratch + at.line_at);
  for (int64_t t = 0; t < tiles; ++t)
    transform_tile<kIn, transform_input>(
        rows + t / tile_columns * kOut * at.row + t % tile_columns * kOut * C, at.row, C, C,
        [v, t, C](int64_t c) { return v + t * C + c; }, at.v_point);
  for (int64_t point = 0; point < kPoints; ++point)
    multiply_point(v + point * at.v_point, tiles, C, g.weight + point * C * at.outputs, at.outputs,
                   m + point * at.m_point);

  const Finish<float> finish{g.epilogue, g.y, g.OC};
  for (int64_t r = 0; r < tile_rows; ++r) {
    const int64_t lines = smaller(kOut, height - r * kOut);
    for (int64_t column = 0; column < tile_columns; ++column) {
      const int pixels = int(smaller(kOut, width - column * kOut));
      for (int64_t i = 0; i < lines && !g.head.y; ++i)  // they come while the tile is computed
        fetch(g.y + ((b * g.H + y0 + r * kOut + i) * g.W + x0 + column * kOut) * g.OC,
              pixels * g.OC);
      transform_back(m + (r * tile_columns + column) * at.outputs, at.m_point, at.outputs, y);
      for (int64_t i = 0; i < lines; ++i) {
        const int64_t pixel = (b * g.H + y0 + r * kOut + i) * g.W + x0 + column * kOut;
        const float* const sums = y + i * kOut * at.outputs;
        if (!g.head.y) {
          finish.tile(sums, at.outputs, pixel, pixels, 0, g.OC);
          continue;
        }
        float* const total = totals + i * kOut * chunk.columns + column * kOut;
        for (int j = 0; j < pixels; ++j) {
          total[j] = 0;
          add_to_head(g, sums + j * at.outputs, 0, g.OC, pixel + j, total + j);
        }
      }
    }
    if (!g.head.y) continue;
    for (int64_t i = 0; i < lines; ++i)
      finish_head(g.head, totals + i * kOut * chunk.columns, width,
                  g.head.y + (b * g.H + y0 + r * kOut + i) * g.W + x0);
  }
}

extern const WinogradKernels winograd_kernels;
const WinogradKernels winograd_kernels{.block = block, .block_scratch = block_scratch};

}  // namespace fathom::cpu::FATHOM_ISA
