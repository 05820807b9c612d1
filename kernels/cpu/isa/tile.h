#pragma once

// The register tile that every product of this folder is made of: a few rows of A times one or two
// panels of packed B, all sums in registers for the whole reduction.

#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/isa/simd.h"

namespace fathom::cpu::FATHOM_ISA {

/// The type that A has inside a tile: bf16 stays bf16 only where pairs multiply in hardware.
template <class T>
struct TileOperandOf {
  using type = Acc<T>;
};
template <>
struct TileOperandOf<Bf16> {
#if defined(__AVX512BF16__)
  using type = Bf16;
#else
  using type = float;
#endif
};
template <class T>
using TileOperand = typename TileOperandOf<T>::type;

/// Registers that hold one row of a panel.
template <class T>
constexpr int kPanelVecs = kPanel / kLanes<T>;

// 32 registers (AVX-512): 14 x 2 sums, 2 of B, 1 of A. 16 registers: 12 sums, or 10 where bf16 is
// widened on the way and needs a mask.
template <class T>
constexpr int kTilePanels = kVectorBytes == 64 && kPanelVecs<T> == 1 ? 2 : 1;
template <class T>
constexpr int kTileRows = kVectorBytes == 64   ? 14
                          : kPanelVecs<T> == 2 ? (sizeof(T) == 2 ? 5 : 6)
                          : kPanelVecs<T> == 4 ? (kVectorBytes == 32 ? 3 : 2)
                                               : 1;

/// Consecutive terms that B stores together: Bf16 comes in pairs.
template <class T>
constexpr int kPair = sizeof(T) == 2 ? 2 : 1;

/// K as packed B counts it.
template <class T>
constexpr int64_t padded(int64_t K) {
  return (K + kPair<T> - 1) / kPair<T> * kPair<T>;
}

/// Rows that packing fetches ahead: short pieces of rows far apart, which the hardware does not
/// foresee.
constexpr int64_t kRowsAhead = 16;

/// Steps of K that B is fetched ahead: it streams from the second-level cache.
constexpr int64_t kAhead = 16;

/// How A lies in memory. kRows: a[i * stride + k], read where it is. kInterleaved: packed by
/// pack_strips, [K / pair][rows][pair].
enum class Operand { kRows, kInterleaved };

/// c[i, j] = init[i, j] + sum over s < segments, k < K of a_s[i, k] b_s[k, j]. A GEMM has one
/// segment; a 3x3 convolution has one for each input row, of 3 C terms.
template <class T>
struct TileArgs {
  const TileOperand<T>* a;
  int64_t a_stride;         // from row to row; kInterleaved: from pair to pair
  const int64_t* a_offset;  // where each segment begins
  const T* b;
  int64_t b_panel;  // from panel to panel
  int64_t b_segment;
  int64_t K;
  int segments;
  const Acc<T>* init;  // what the sums begin with, or null: zero
  int64_t init_stride;
  Acc<T>* c;
  int64_t c_stride;
};

template <class T, Operand kOperand, int kRows, int kPanels>
struct Tile {
  static constexpr int kVecs = kPanels * kPanelVecs<T>;
  using A = TileOperand<T>;
  using V = Vec<Acc<T>>;

  static constexpr int64_t row(int i, int64_t stride) {
    return kOperand == Operand::kRows ? i * stride : i * kPair<T>;
  }

  /// One term, or one pair of terms, of every sum.
  [[gnu::always_inline]] static void step(V (&c)[kRows][kVecs], const A* a, int64_t stride,
                                          const T* b, int64_t panel, bool single = false) {
    if constexpr (sizeof(T) != 2) {
      V bv[kVecs];
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v)
        bv[v] = load(b + v / kPanelVecs<T> * panel + v % kPanelVecs<T> * kLanes<T>);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const V av = broadcast(a[row(i, stride)]);
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v) c[i][v] = fma(av, bv[v], c[i][v]);
      }
    } else {
      const auto pairs = [&](int v) {
        Vec<uint32_t> u;
        __builtin_memcpy(&u, b + v / kPanelVecs<T> * panel + v % kPanelVecs<T> * 2 * kLanes<T>,
                         sizeof u);
        return u;
      };
      if constexpr (kHasBf16Dot) {
#if defined(__AVX512BF16__)
        __m512bh bv[kVecs];
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v) bv[v] = bits_as<__m512bh>(pairs(v));
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i) {
          uint32_t pair = a[row(i, stride)].bits;
          if (!single) __builtin_memcpy(&pair, a + row(i, stride), sizeof pair);
          const __m512bh av = bits_as<__m512bh>(_mm512_set1_epi32(int(pair)));
#pragma GCC unroll 8
          for (int v = 0; v < kVecs; ++v) c[i][v] = _mm512_dpbf16_ps(c[i][v], av, bv[v]);
        }
#endif
      } else {
        // The even terms, then the odd ones; a register of pairs holds both.
        V bv[kVecs];
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v) bv[v] = bits_as<V>(pairs(v) << 16);
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i) {
          const V av = broadcast(a[row(i, stride)]);
#pragma GCC unroll 8
          for (int v = 0; v < kVecs; ++v) c[i][v] = fma(av, bv[v], c[i][v]);
        }
        if (single) return;
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v) bv[v] = bits_as<V>(pairs(v) & 0xffff0000u);
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i) {
          const V av = broadcast(a[row(i, stride) + 1]);
#pragma GCC unroll 8
          for (int v = 0; v < kVecs; ++v) c[i][v] = fma(av, bv[v], c[i][v]);
        }
      }
    }
  }

  [[gnu::noinline]] static void run(const TileArgs<T>& t) {
    V c[kRows][kVecs];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v)
        c[i][v] = t.init ? load(t.init + i * t.init_stride + v * kLanes<T>) : V{};
    const int64_t stride = t.a_stride, panel = t.b_panel, pairs = t.K / kPair<T>;
    Acc<T>* const to = t.c;  // read before the stores below, which might alias t
    const int64_t to_stride = t.c_stride;
    for (int s = 0; s < t.segments; ++s) {
      const A* a = t.a + t.a_offset[s];
      const T* b = t.b + s * t.b_segment;
      // Unrolled: the end of a loop of 16 rounds is foreseen, that of one of 64 is not.
#pragma GCC unroll 4
      for (int64_t k = 0; k < pairs; ++k) {
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p)
          __builtin_prefetch(b + p * panel + kAhead * kPanel * kPair<T>);
        step(c, a, stride, b, panel);
        a += kOperand == Operand::kRows ? kPair<T> : stride;
        b += kPanel * kPair<T>;
      }
      if (kPair<T> == 2 && t.K % 2) step(c, a, stride, b, panel, true);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v) store(to + i * to_stride + v * kLanes<T>, c[i][v]);
  }
};

/// A tile of `rows` <= kTileRows<T> by `panels` <= kTilePanels<T>.
template <class T, Operand kOperand, int kRows = kTileRows<T>>
[[gnu::always_inline]] inline void run_tile(int rows, int panels, const TileArgs<T>& t) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return run_tile<T, kOperand, kRows - 1>(rows, panels, t);
  }
  if (panels == kTilePanels<T>)
    Tile<T, kOperand, kRows, kTilePanels<T>>::run(t);
  else
    Tile<T, kOperand, kRows, 1>::run(t);
}

[[gnu::always_inline]] inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
[[gnu::always_inline]] inline int64_t whole(int64_t count, int64_t unit) {
  return (count + unit - 1) / unit * unit;
}
constexpr int64_t kNoOffset[1] = {0};

/// f(offset, count...) for all vectors of `length` values; the last call carries a count.
template <class T, class F>
[[gnu::always_inline]] inline void each_vector(int64_t length, F&& f) {
  int64_t i = 0;
  for (; i + kLanes<T> <= length; i += kLanes<T>) f(i);
  if (i < length) f(i, int(length - i));
}

/// Asks for the lines of a tile of C while its sums are computed: they come from memory.
template <class T>
inline void fetch_for_writing(const T* c, int64_t c_stride, int rows, int panels) {
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < panels * kPanel; v += 64 / int(sizeof(T)))
      __builtin_prefetch(c + i * c_stride + v, 1);
}

template <class T>
[[gnu::always_inline]] inline void fetch(const T* from, int64_t count) {
  const char* p = reinterpret_cast<const char*>(from);
  for (int64_t i = 0; i < count * int64_t(sizeof(T)); i += 64) __builtin_prefetch(p + i);
}

/// kPair<T> rows of b, the second missing when `single`, side by side as a row of a panel.
template <class T>
[[gnu::always_inline]] inline void pack_panel_row(const T* b, int64_t b_stride, bool single,
                                                  T* packed) {
  if constexpr (kPair<T> == 1) {
    __builtin_memcpy(packed, b, kPanel * sizeof(T));
  } else {
    VecOf<uint16_t, 2 * kPanel>::type low, high{};
    __builtin_memcpy(&low, b, sizeof low);
    if (!single) __builtin_memcpy(&high, b + b_stride, sizeof high);
    using Pairs = VecOf<uint32_t, 4 * kPanel>::type;
    const Pairs pairs =
        __builtin_convertvector(low, Pairs) | (__builtin_convertvector(high, Pairs) << 16);
    __builtin_memcpy(packed, &pairs, sizeof pairs);
  }
}

/// Rows [k0, k1) of row-major b [K,N] into panels `panel` elements apart, row after row, so that
/// memory is read in order. k0 is even.
template <class T>
inline void pack_rows(const T* b, int64_t b_stride, int64_t k0, int64_t k1, int64_t K, int64_t N,
                      T* packed, int64_t panel) {
  const int64_t full = N / kPanel, rest = N % kPanel;
  for (int64_t k = k0; k < k1; k += kPair<T>) {
    const bool single = k + 1 == K;
    const T* from = b + k * b_stride;
    T* to = packed + k * kPanel;
    for (int64_t r = 0; r < kPair<T>; ++r) fetch(from + (kRowsAhead + r) * b_stride, N);
    for (int64_t p = 0; p < full; ++p)
      pack_panel_row(from + p * kPanel, b_stride, single, to + p * panel);
    if (rest) {
      T edge[kPair<T> * kPanel] = {};
      for (int64_t j = 0; j < rest; ++j) edge[j] = from[full * kPanel + j];
      if (kPair<T> == 2 && !single)
        for (int64_t j = 0; j < rest; ++j) edge[kPanel + j] = from[b_stride + full * kPanel + j];
      pack_panel_row(edge, kPanel, single, to + full * panel);
    }
  }
}

/// Panels [p0, p1) of b from row-major [K,N] or, transposed, from [N,K].
template <class T>
inline void pack(const T* b, int64_t b_stride, bool transposed, int64_t K, int64_t N, int64_t p0,
                 int64_t p1, T* packed) {
  const int64_t panel = padded<T>(K) * kPanel, end = smaller(p1 * kPanel, N);
  if (!transposed)
    return pack_rows(b + p0 * kPanel, b_stride, 0, K, K, end - p0 * kPanel, packed + p0 * panel,
                     panel);
  for (int64_t p = p0; p < p1; ++p) {
    T* to = packed + p * panel;
    const T* from = b + p * kPanel * b_stride;
    const int columns = int(smaller(kPanel, N - p * kPanel));
    if (columns < kPanel || K % kPair<T>)
      for (int64_t i = 0; i < panel; ++i) to[i] = T{};
    for (int64_t k = 0; k < K; ++k) {
      T* out = to + k / kPair<T> * kPanel * kPair<T> + k % kPair<T>;
      for (int j = 0; j < columns; ++j) out[j * kPair<T>] = from[j * b_stride + k];
    }
  }
}

/// `rows` (at most kTileRows) columns of kPair<T> rows of y, side by side, as one step of an
/// interleaved A.
template <class T, int kRows>
[[gnu::always_inline]] inline void pack_step(const T* y, int64_t y_stride, bool single, int rows,
                                             TileOperand<T>* packed) {
  const int count = kRows ? kRows : rows;
  if constexpr (kPair<T> == 1) {
    if constexpr (kRows > 0)
      __builtin_memcpy(packed, y, kRows * sizeof(T));
    else
      for (int i = 0; i < count; ++i) packed[i] = y[i];
  } else if constexpr (kHasBf16Dot) {
    using Bits = Vec<uint32_t>;  // load() widens: the value is in the upper half
    const Bits low = bits_as<Bits>(load(y, count)) >> 16;
    const Bits high = single ? Bits{} : bits_as<Bits>(load(y + y_stride, count));
    store(reinterpret_cast<float*>(packed), bits_as<Vec<float>>(low | high), count);
  } else {
    for (int i = 0; i < count; ++i) {
      const T low = y[i], high = single ? T{} : y[y_stride + i];
      packed[2 * i] = to_float(low);
      packed[2 * i + 1] = to_float(high);
    }
  }
}

/// Rows [k0, k1) of the first `rows` columns of row-major y [K, ...] as the A of kInterleaved
/// tiles: strips of kTileRows<T> columns (the last one narrower), `strip` elements apart, each
/// [ceil(K / pair)][columns][pair]. Row after row, so memory is read in order.
template <class T>
inline void pack_strips(const T* y, int64_t y_stride, int64_t k0, int64_t k1, int64_t K,
                        int64_t rows, TileOperand<T>* packed, int64_t strip) {
  constexpr int kRows = kTileRows<T>;
  const int64_t full = rows / kRows * kRows;
  const int rest = int(rows - full);
  for (int64_t k = k0; k < k1; k += kPair<T>) {
    const bool single = k + 1 == K;
    const T* from = y + k * y_stride;
    for (int64_t r = 0; r < kPair<T>; ++r) fetch(from + (kRowsAhead + r) * y_stride, rows);
    for (int64_t i = 0; i < full; i += kRows)
      pack_step<T, kRows>(from + i, y_stride, single, kRows,
                          packed + i / kRows * strip + k * kRows);
    if (rest)
      pack_step<T, 0>(from + full, y_stride, single, rest,
                      packed + full / kRows * strip + k * rest);
  }
}

/// Whether the sums are the result but for the bias, which they can begin with: then tiles write c
/// themselves.
template <class T>
inline bool is_plain(const Epilogue<T>& e) {
  return sizeof(T) == sizeof(Acc<T>) && e.activation == Activation::none && !e.pre_activation &&
         !e.gamma && !e.mask && !e.residual && !e.residual2;
}

/// Finished sums through the epilogue into c.
template <class T>
struct Finish {
  const Epilogue<T>& e;
  T* c;
  int64_t c_stride;

  /// The epilogue's result for a vector of sums that begins at row m, column n.
  template <class... Count>
  [[gnu::always_inline]] static Vec<Acc<T>> value(const Epilogue<T>& e, Activation activation,
                                                  Vec<Acc<T>> s, int64_t m, int64_t n,
                                                  int64_t c_stride, Count... count) {
    if (e.bias) s += load(e.bias + n, count...);
    if (e.pre_activation)
      store(
          e.pre_activation + m * (e.pre_activation_stride ? e.pre_activation_stride : c_stride) + n,
          s, count...);
    if (activation == Activation::gelu) s = gelu(s);
    if (activation == Activation::relu) s = relu(s);
    if (e.gamma) s *= load(e.gamma + n, count...);
    const int64_t at = m * (e.residual_stride ? e.residual_stride : c_stride) + n;
    if (e.mask) s = load(e.mask + at, count...) > Vec<Acc<T>>{} ? s : Vec<Acc<T>>{};
    if (e.residual) s += load(e.residual + at, count...);
    if (e.residual2) s += load(e.residual2 + at, count...);
    return s;
  }

  template <Activation kActivation>
  [[gnu::always_inline]] void rows(const Acc<T>* sums, int64_t sums_stride, int64_t m, int count,
                                   int64_t n, int64_t columns) const {
    const Epilogue<T> local = e;  // no store can change it, so its fields stay in registers
    for (int i = 0; i < count; ++i)
      each_vector<T>(columns, [&](int64_t j, auto... part) {
        store(c + (m + i) * c_stride + n + j,
              value(local, kActivation, load(sums + i * sums_stride + j), m + i, n + j, c_stride,
                    part...),
              part...);
      });
  }

  /// A tile of sums whose first one belongs to row m, column n of c.
  void tile(const Acc<T>* sums, int64_t sums_stride, int64_t m, int count, int64_t n,
            int64_t columns) const {
    // The lines were asked for before the tile was computed and wait in the second-level cache.
    fetch_for_writing(c + m * c_stride + n, c_stride, count, int((columns + kPanel - 1) / kPanel));
    switch (e.activation) {
      case Activation::none: return rows<Activation::none>(sums, sums_stride, m, count, n, columns);
      case Activation::relu: return rows<Activation::relu>(sums, sums_stride, m, count, n, columns);
      case Activation::gelu: return rows<Activation::gelu>(sums, sums_stride, m, count, n, columns);
    }
  }
};

}  // namespace fathom::cpu::FATHOM_ISA
