#include "kernels/cpu/isa/conv_rows.h"
#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/isa/tile.h"
#include "kernels/cpu/isa/winograd_tiles.h"
#include "kernels/cpu/winograd_kernels.h"

namespace fathom::cpu::FATHOM_ISA {

/// Where a task keeps its values. Of each point: transformed inputs in panels [panel][tile][16],
/// transformed gradients [tile][output], and the sums [output][input].
struct GradientLayout {
  int64_t tiles, width, outputs;      // padded: inputs to a panel, outputs to a vector
  int64_t x_row, dy_row, line;        // sizes in floats
  int64_t v_point, d_point, s_point;  // from point to point
  int64_t x_at, dy_at, line_at, v_at, d_at, s_at, total;
  GradientLayout(const ConvGradientArgs<float>& g, WinogradChunk chunk, int64_t outputs_,
                 int64_t inputs) {
    tiles = chunk.rows * chunk.columns;
    width = whole(inputs, kPanel);
    outputs = whole(outputs_, kFloats);
    x_row = whole((kOut * chunk.columns + 2) * g.x.channels, 16);
    dy_row = whole(kOut * chunk.columns * g.OC, 16);
    line = whole(g.x.width * g.x.channels, 16);
    v_point = tiles * width + 16;  // a line more: off each other's cache sets
    d_point = whole(tiles * outputs, 16) + 16;
    s_point = outputs * width + 16;
    x_at = 0;
    dy_at = x_at + (kOut * chunk.rows + 2) * x_row;
    line_at = dy_at + kOut * chunk.rows * dy_row;
    v_at = line_at + line;
    d_at = v_at + kPoints * v_point;
    s_at = d_at + kPoints * d_point;
    total = s_at + kPoints * s_point;
  }
};

static int64_t scratch_floats(const ConvGradientArgs<float>& g, WinogradChunk chunk,
                              int64_t outputs, int64_t inputs) {
  return GradientLayout(g, chunk, outputs, inputs).total;
}

/// s[output][input] += sum over tiles of d[tile][output] v[tile][input], for one point.
static void add_point(const float* d, const float* v, int64_t tiles, int64_t panel_size,
                      const GradientLayout& at, int64_t outputs, float* s) {
  constexpr int kRows = kTileRows<float>, kPanels = kTilePanels<float>;
  const int64_t panels = at.width / kPanel;
  for (int64_t p = 0; p < panels; p += kPanels)
    for (int64_t o = 0; o < outputs; o += kRows) {
      float* const sums = s + o * at.width + p * kPanel;
      run_tile<float, Operand::kInterleaved>(int(smaller(kRows, outputs - o)),
                                             int(smaller(kPanels, panels - p)),
                                             {.a = d + o,
                                              .a_stride = at.outputs,
                                              .a_offset = kNoOffset,
                                              .b = v + p * panel_size,
                                              .b_panel = panel_size,
                                              .b_segment = 0,
                                              .K = tiles,
                                              .segments = 1,
                                              .init = sums,
                                              .init_stride = at.width,
                                              .c = sums,
                                              .c_stride = at.width});
    }
}

/// One chunk's part of all sums.
static void add_chunk(const ConvGradientArgs<float>& g, WinogradChunk chunk, int64_t b,
                      int64_t tile_y, int64_t tile_x, int64_t o0, int64_t outputs, int64_t i0,
                      int64_t inputs, const GradientLayout& at, float* scratch) {
  const int64_t C = g.x.channels, x0 = tile_x * kOut, y0 = tile_y * kOut;
  const int64_t tile_rows = smaller(chunk.rows, (g.H - y0 + kOut - 1) / kOut);
  const int64_t tile_columns = smaller(chunk.columns, (g.W - x0 + kOut - 1) / kOut);
  const int64_t tiles = tile_rows * tile_columns, x1 = x0 + kOut * tile_columns;
  const int64_t panel_size = at.tiles * kPanel;
  float *const x = scratch + at.x_at, *const dy = scratch + at.dy_at;
  float *const v = scratch + at.v_at, *const d = scratch + at.d_at, *const s = scratch + at.s_at;
  const ConvInput<float> gradient{
      .map = g.dy, .height = g.H, .width = g.W, .channels = g.OC, .mask = g.dy_mask};

  for (int64_t r = 0; r < kOut * tile_rows + 2; ++r)
    fill_row(g.x, g.H, g.W, b, y0 + r - 1, x0, x1, x + r * at.x_row, scratch + at.line_at);
  for (int64_t r = 0; r < kOut * tile_rows; ++r)  // without the columns beside the tiles
    fill_row(gradient, g.H, g.W, b, y0 + r, x0 + 1, x1 - 1, dy + r * at.dy_row,
             scratch + at.line_at);
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = t / tile_columns * kOut, column = t % tile_columns * kOut;
    transform_tile<kIn, transform_input>(
        x + row * at.x_row + column * C + i0, at.x_row, C, inputs,
        [=](int64_t c) { return v + c / kPanel * panel_size + t * kPanel + c % kPanel; },
        at.v_point);
    transform_tile<kOut, transform_gradient>(
        dy + row * at.dy_row + column * g.OC + o0, at.dy_row, g.OC, outputs,
        [=, &at](int64_t c) { return d + t * at.outputs + c; }, at.d_point);
  }
  for (int64_t point = 0; point < kPoints; ++point)
    add_point(d + point * at.d_point, v + point * at.v_point, tiles, panel_size, at, outputs,
              s + point * at.s_point);
}

/// G^T s G to dweight.
static void store_weight_gradient(const ConvGradientArgs<float>& g, const GradientLayout& at,
                                  const float* s, int64_t o0, int64_t outputs, int64_t i0,
                                  int64_t inputs) {
  for (int64_t o = 0; o < outputs; ++o)
    each_vector<float>(inputs, [&](int64_t i, auto... count) {
      V rows[3][kIn];
#pragma GCC unroll 6
      for (int b = 0; b < kIn; ++b) {
        V column[kIn];
#pragma GCC unroll 6
        for (int a = 0; a < kIn; ++a)
          column[a] = load(s + (a * kIn + b) * at.s_point + o * at.width + i);
        transform_weight_gradient(column);
#pragma GCC unroll 3
        for (int a = 0; a < 3; ++a) rows[a][b] = column[a];
      }
      float* const to = g.dweight + (o0 + o) * 9 * g.x.channels + i0 + i;
#pragma GCC unroll 3
      for (int a = 0; a < 3; ++a) {
        transform_weight_gradient(rows[a]);
#pragma GCC unroll 3
        for (int b = 0; b < 3; ++b) store(to + (a * 3 + b) * g.x.channels, rows[a][b], count...);
      }
    });
}

static void gradient(const ConvGradientArgs<float>& g, WinogradChunk chunk, int64_t begin,
                     int64_t end, int64_t o0, int64_t o1, int64_t i0, int64_t i1, float* scratch) {
  const int64_t outputs = o1 - o0, inputs = i1 - i0;
  const GradientLayout at(g, chunk, outputs, inputs);
  const WinogradChunks chunks(g.H, g.W, chunk);
  for (int64_t i = at.v_at; i < at.total; ++i) scratch[i] = 0;  // padding too
  for (int64_t n = begin; n < end; ++n)
    add_chunk(g, chunk, chunks.image(n), chunks.tile_y(n), chunks.tile_x(n), o0, outputs, i0,
              inputs, at, scratch);
  store_weight_gradient(g, at, scratch + at.s_at, o0, outputs, i0, inputs);
}

extern const WinogradGradientKernels winograd_gradient_kernels;
const WinogradGradientKernels winograd_gradient_kernels{.run = gradient, .scratch = scratch_floats};

}  // namespace fathom::cpu::FATHOM_ISA
