#pragma once

#include "kernels/cpu/conv_kernels.h"

namespace fathom::cpu {

// Winograd's F(4x4, 3x3): a tile of 4 x 4 outputs needs 36 products a pair of channels instead of
// 144. With the points 0, +-1/sqrt(2), +-sqrt(2) and infinity,
//   y = A^T [(G g G^T) * sum over channels (B^T d B)] A,  d being the tile's 6 x 6 inputs.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4;
// these points: the transforms' norms are smaller than those of 0, +-1, +-2.

constexpr int kWinogradTile = 4;     // outputs of a tile, along each axis
constexpr int kWinogradPoints = 36;  // products a tile

/// Tiles that are transformed together: `rows` times `columns` of them.
struct WinogradChunk {
  int64_t rows, columns;
};

/// The chunks that cover images of H x W, numbered row by row and image by image.
struct WinogradChunks {
  WinogradChunk chunk;
  int64_t rows, columns;  // of chunks in an image

  WinogradChunks(int64_t H, int64_t W, WinogradChunk chunk)
      : chunk(chunk), rows(count(H, chunk.rows)), columns(count(W, chunk.columns)) {}
  static int64_t count(int64_t pixels, int64_t tiles) {
    return (pixels + kWinogradTile * tiles - 1) / (kWinogradTile * tiles);
  }
  int64_t in_image() const { return rows * columns; }
  int64_t image(int64_t i) const { return i / in_image(); }
  int64_t tile_y(int64_t i) const { return i % in_image() / columns * chunk.rows; }
  int64_t tile_x(int64_t i) const { return i % columns * chunk.columns; }
};

/// Scratch is counted in floats and 64-byte aligned.
struct WinogradKernels {
  /// The tiles of a chunk: its first one has row `tile_y` and column `tile_x` among the tiles of
  /// image b. The weight is as pack_winograd leaves it.
  void (*block)(const ConvArgs<float>&, WinogradChunk, int64_t b, int64_t tile_y, int64_t tile_x,
                float* scratch);
  int64_t (*block_scratch)(const ConvArgs<float>&, WinogradChunk);
};
FATHOM_ISA_TABLES(WinogradKernels, winograd_kernels)

struct WinogradGradientKernels {
  /// The part of dweight that the chunks [begin, end) give, for the output channels [o0, o1) and
  /// input channels [i0, i1); overwrites that block of dweight.
  void (*run)(const ConvGradientArgs<float>&, WinogradChunk, int64_t begin, int64_t end, int64_t o0,
              int64_t o1, int64_t i0, int64_t i1, float* scratch);
  int64_t (*scratch)(const ConvGradientArgs<float>&, WinogradChunk, int64_t outputs,
                     int64_t inputs);
};
FATHOM_ISA_TABLES(WinogradGradientKernels, winograd_gradient_kernels)

}  // namespace fathom::cpu
