#include "kernels/cpu/winograd.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/shape.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/slices.h"

namespace fathom::cpu {

int64_t winograd_size(int64_t OC, int64_t IC) {
  return kWinogradPoints * IC * round_up(OC, kPanel);
}

/// G g for 16 outputs at once: three taps at distance `step` to six points.
static void transform_taps(const double (*g)[kPanel], int64_t step, double (*u)[kPanel],
                           int64_t point_step) {
  constexpr double kRoot2 = 1.4142135623730951;
  for (int j = 0; j < kPanel; ++j) {
    const double g0 = g[0][j], g1 = g[step][j] * kRoot2, g2 = g[2 * step][j];
    const double a = -(2 * g0 + g2) / 3, b = g0 / 6 + g2 / 3;
    u[0][j] = g0;
    u[point_step][j] = a - g1 / 3;
    u[2 * point_step][j] = a + g1 / 3;
    u[3 * point_step][j] = b + g1 / 6;
    u[4 * point_step][j] = b - g1 / 6;
    u[5 * point_step][j] = g2;
  }
}

void pack_winograd(const float* weight, int64_t OC, int64_t IC, ConvUse use, float* packed) {
  const bool flip = use == ConvUse::input_gradient;
  const int64_t outputs = flip ? IC : OC, inputs = flip ? OC : IC;
  const int64_t panels = ceil_div(outputs, kPanel);
  parallel_for(panels, 1, [=](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t columns = std::min<int64_t>(kPanel, outputs - p * kPanel);
      for (int64_t c = 0; c < inputs; ++c) {
        double g[9][kPanel] = {}, rows[18][kPanel], u[kWinogradPoints][kPanel];
        for (int64_t j = 0; j < columns; ++j)
          for (int64_t tap = 0; tap < 9; ++tap) {
            const int64_t n = p * kPanel + j;
            g[tap][j] = flip ? weight[(c * 9 + 8 - tap) * IC + n] : weight[(n * 9 + tap) * IC + c];
          }
        for (int kx = 0; kx < 3; ++kx) transform_taps(g + kx, 3, rows + kx, 3);
        for (int i = 0; i < 6; ++i) transform_taps(rows + 3 * i, 1, u + 6 * i, 1);
        for (int64_t point = 0; point < kWinogradPoints; ++point)
          std::copy_n(u[point], kPanel, packed + ((point * panels + p) * inputs + c) * kPanel);
      }
    }
  });
}

/// A chunk of about `bytes` of transformed values, of `channels` in all for each tile. Depends on
/// the shape only, like everything that the sums depend on.
static WinogradChunk chunk_of(int64_t H, int64_t W, int64_t channels, int64_t bytes,
                              int64_t least_tiles) {
  const int64_t tile = kWinogradPoints * channels * int64_t(sizeof(float));
  const int64_t most = std::max(bytes / tile, least_tiles);
  const int64_t all_rows = ceil_div(H, kWinogradTile), all_columns = ceil_div(W, kWinogradTile);
  // Two rows share inputs; more of them where the map is narrow.
  const int64_t columns =
      std::min(all_columns, std::max<int64_t>(most / std::min<int64_t>(all_rows, 2), 1));
  return {std::min(all_rows, std::max<int64_t>(most / columns, 1)),
          ceil_div(all_columns, ceil_div(all_columns, columns))};
}

// The transformed tiles and their sums share the second-level cache with the weight of a point, but
// few tiles would read all of the weight too often.
constexpr int64_t kChunkBytes = 320 << 10, kLeastTiles = 16;

void conv3x3_winograd(const ConvArgs<float>& g) {
  const WinogradKernels& kernels = winograd_kernels();
  const WinogradChunk chunk =
      chunk_of(g.H, g.W, g.x.channels + round_up(g.OC, kPanel), kChunkBytes, kLeastTiles);
  const WinogradChunks chunks(g.H, g.W, chunk);
  parallel_for(g.B * chunks.in_image(), 1, [&](int64_t begin, int64_t end) {
    float* memory = scratch<float>(Scratch::task, kernels.block_scratch(g, chunk));
    for (int64_t i = begin; i < end; ++i)
      kernels.block(g, chunk, chunks.image(i), chunks.tile_y(i), chunks.tile_x(i), memory);
  });
}

// A task reads and writes all its sums once a chunk: more tiles than above outweigh that, and some
// chunks the sums' transform at the end.
constexpr int64_t kGradientChunkBytes = 576 << 10, kGradientChannels = 64;
constexpr int64_t kGradientTasks = 64, kGradientChunks = 4;

void conv3x3_weight_gradient_winograd(const ConvGradientArgs<float>& g) {
  const WinogradGradientKernels& kernels = winograd_gradient_kernels();
  const int64_t IC = g.x.channels, count = g.OC * 9 * IC;
  const int64_t outputs = std::min(g.OC, kGradientChannels);
  const int64_t inputs = std::min(IC, kGradientChannels);
  const int64_t output_blocks = ceil_div(g.OC, outputs),
                blocks = output_blocks * ceil_div(IC, inputs);
  const WinogradChunk chunk = chunk_of(g.H, g.W, outputs + inputs, kGradientChunkBytes, 1);
  const WinogradChunks chunks(g.H, g.W, chunk);
  const int64_t all = g.B * chunks.in_image();
  const int64_t slice =
      slice_rows(all, std::min(kGradientChunks, ceil_div(all, 2)), kGradientTasks / blocks);
  const int64_t slices = ceil_div(all, slice);
  float* partials = slices == 1 ? g.dweight : scratch<float>(Scratch::partials, slices * count);

  parallel_for(slices * blocks, 1, [&](int64_t begin, int64_t end) {
    float* memory = scratch<float>(Scratch::task, kernels.scratch(g, chunk, outputs, inputs));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t s = task / blocks, block = task % blocks;
      const int64_t o = block % output_blocks * outputs, i = block / output_blocks * inputs;
      ConvGradientArgs<float> part = g;
      part.dweight = partials + s * count;
      kernels.run(part, chunk, s * slice, std::min((s + 1) * slice, all), o,
                  std::min(o + outputs, g.OC), i, std::min(i + inputs, IC), memory);
    }
  });
  if (slices > 1) add_slices(partials, slices, count, g.dweight);
}

}  // namespace fathom::cpu
