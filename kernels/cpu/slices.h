#pragma once

#include <algorithm>
#include <cstdint>

#include "core/parallel.h"
#include "core/shape.h"

namespace fathom::cpu {

// Sums over many rows are cut into slices that depend on the shape only, never on the number of
// threads, and the slices' sums are added in order: the same bits on every machine of one
// instruction set.

/// Rows of one slice: `least` or more, so that there are at most `most` slices.
inline int64_t slice_rows(int64_t rows, int64_t least, int64_t most) {
  return std::max(ceil_div(rows, std::max<int64_t>(most, 1)), least);
}

/// out[i] = sum over s, in order, of partials[s * count + i].
template <class Sum>
void add_slices(const Sum* partials, int64_t slices, int64_t count, Sum* out) {
  parallel_for(count, 16384, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = partials[i];
    for (int64_t s = 1; s < slices; ++s)
      for (int64_t i = begin; i < end; ++i) out[i] += partials[s * count + i];
  });
}

}  // namespace fathom::cpu
