#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.h"
#include "core/shape.h"

namespace fathom::cpu {

// Loops over B images of N elements each, in pieces whose borders depend on N alone: the same bits
// with any number of threads, and for an image alone or in a batch.
constexpr int64_t kImagePiece = 1 << 13;

/// Calls f(b, begin, end) for every piece of every image; elements are counted within the image.
template <class F>
void for_each_piece(int64_t B, int64_t N, const F& f) {
  const int64_t pieces = ceil_div(N, kImagePiece);
  parallel_for(B * pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      const int64_t begin = piece % pieces * kImagePiece;
      f(piece / pieces, begin, std::min(begin + kImagePiece, N));
    }
  });
}

/// One result an image: the sum of the K numbers that f(b, i) returns, over its elements i. Summed
/// in double, in four lanes a piece (additions would wait for each other otherwise), then piece
/// after piece.
template <size_t K, class F>
std::vector<std::array<double, K>> image_sums(int64_t B, int64_t N, const F& f) {
  constexpr int64_t kLanes = 4;
  const int64_t pieces = ceil_div(N, kImagePiece);
  std::vector<std::array<double, K>> partial(size_t(B * pieces)), sums(static_cast<size_t>(B));
  for_each_piece(B, N, [&](int64_t b, int64_t begin, int64_t end) {
    std::array<std::array<double, K>, kLanes> lanes{};
    const auto add = [&](int64_t lane, int64_t i) {
      const std::array<double, K> terms = f(b, i);
      for (size_t k = 0; k < K; ++k) lanes[size_t(lane)][k] += terms[k];
    };
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (int64_t lane = 0; lane < kLanes; ++lane) add(lane, i + lane);
    for (; i < end; ++i) add(0, i);
    std::array<double, K>& own = partial[size_t(b * pieces + begin / kImagePiece)];
    for (size_t k = 0; k < K; ++k)
      own[k] = (lanes[0][k] + lanes[1][k]) + (lanes[2][k] + lanes[3][k]);
  });
  for (int64_t b = 0; b < B; ++b)
    for (int64_t p = 0; p < pieces; ++p)
      for (size_t k = 0; k < K; ++k) sums[size_t(b)][k] += partial[size_t(b * pieces + p)][k];
  return sums;
}

}  // namespace fathom::cpu
