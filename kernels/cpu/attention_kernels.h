#pragma once

#include <cstddef>

#include "kernels/cpu/by_type.h"
#include "kernels/cpu/isa.h"

namespace fathom::cpu {

/// One head of one image: tokens x width matrices whose rows are `stride` elements apart.
template <class T>
struct AttentionHead {
  const T *q, *k, *v;
  int64_t stride;
  int64_t tokens, width;
  double scale;  // of the scores, before the softmax
};

/// What the backward pass of one head reads and writes beside q, k and v.
template <class T>
struct AttentionGrads {
  const T *y, *dy;      // [tokens, width], rows y_stride apart
  int64_t y_stride;     //
  const Sum<T>* lse;    // [tokens]
  Sum<T>* dq;           // [tokens, padded_width]: dq / scale of these keys alone, overwritten
  T *dk, *dv;           // [tokens, width], rows grad_stride apart; only those of these keys
  int64_t grad_stride;  //
};

/// The loops of attention. Memory that the caller provides is 64-byte aligned.
template <class T>
struct AttentionLoops {
  int key_panel;  // keys that are packed together
  int row_tile;   // queries of a register tile: strips are multiples of it where they can
  int64_t (*padded_width)(int64_t width);

  /// Keys transposed by panels, and values as rows, in the type that products multiply.
  int64_t (*packed_bytes)(int64_t tokens, int64_t width);
  void (*pack)(const AttentionHead<T>&, int64_t first_panel, int64_t last_panel, std::byte* packed);

  /// Queries [begin, end) against all keys: softmax of whole score rows, which stand in scratch.
  /// lse[tokens], or null: the logarithm of the sum of the exponentials of each score row.
  int64_t (*forward_scratch)(int64_t rows, int64_t tokens, int64_t width);
  void (*forward)(const AttentionHead<T>&, const std::byte* packed, int64_t begin, int64_t end,
                  T* y, int64_t y_stride, Sum<T>* lse, std::byte* scratch);

  /// All queries against the keys [begin, end), begin a multiple of key_panel.
  int64_t (*backward_scratch)(int64_t width);
  void (*backward)(const AttentionHead<T>&, const AttentionGrads<T>&, int64_t begin, int64_t end,
                   std::byte* scratch);
  /// dq[0, width) = scale * sum over s < parts of part[s * part_stride + ...], in order.
  void (*add_parts)(const Sum<T>* part, int64_t parts, int64_t part_stride, double scale, T* dq,
                    int64_t width);
};

FATHOM_ISA_TABLES(ByType<AttentionLoops>, attention)

}  // namespace fathom::cpu
