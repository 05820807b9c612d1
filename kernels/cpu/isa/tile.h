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

// 32 registers (AVX-512): 14 x 2 sums, 2 of B, 1 of A. 16 registers: 12 sums or less.
template <class T>
constexpr int kTilePanels = kVectorBytes == 64 && kPanelVecs<T> == 1 ? 2 : 1;
template <class T>
constexpr int kTileRows = kVectorBytes == 64   ? 14
                          : kPanelVecs<T> == 2 ? 6
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

/// Steps of K that B is fetched ahead: it streams from the second-level cache.
constexpr int64_t kAhead = 16;

/// How A lies in memory. kRows: a[i * stride + k], read where it is. kInterleaved: packed by
/// pack_interleaved, [K / pair][rows][pair].
enum class Operand { kRows, kInterleaved };

/// c[i, j] = or += sum over s < segments, k < K of a_s[i, k] b_s[k, j]. A GEMM has one segment;
/// a 3x3 convolution has one for each input row, of 3 C terms.
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
  bool accumulate;
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
        c[i][v] = t.accumulate ? load(t.c + i * t.c_stride + v * kLanes<T>) : V{};
    const int64_t stride = t.a_stride, panel = t.b_panel, pairs = t.K / kPair<T>;
    for (int s = 0; s < t.segments; ++s) {
      const A* a = t.a + t.a_offset[s];
      const T* b = t.b + s * t.b_segment;
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
      for (int v = 0; v < kVecs; ++v) store(t.c + i * t.c_stride + v * kLanes<T>, c[i][v]);
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

/// Asks for the lines of a tile of C while its sums are computed: they come from memory.
template <class T>
inline void fetch_for_writing(const T* c, int64_t c_stride, int rows, int panels) {
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < panels * kPanel; v += 64 / int(sizeof(T)))
      __builtin_prefetch(c + i * c_stride + v, 1);
}

/// Panels [p0, p1) of b from row-major [K,N] or, transposed, from [N,K].
template <class T>
inline void pack(const T* b, int64_t b_stride, bool transposed, int64_t K, int64_t N, int64_t p0,
                 int64_t p1, T* packed) {
  const int64_t row_step = transposed ? 1 : b_stride, column_step = transposed ? b_stride : 1;
  const int64_t panel = padded<T>(K) * kPanel;
  for (int64_t p = p0; p < p1; ++p) {
    T* to = packed + p * panel;
    const T* from = b + p * kPanel * column_step;
    const int columns = int(smaller(kPanel, N - p * kPanel));
    if (columns < kPanel || K % kPair<T>)
      for (int64_t i = 0; i < panel; ++i) to[i] = T{};
    for (int64_t k = 0; k < K; ++k) {
      T* out = to + k / kPair<T> * kPanel * kPair<T> + k % kPair<T>;
      const T* in = from + k * row_step;
      if (columns == kPanel && column_step == 1) {
        for (int j = 0; j < kPanel; ++j) out[j * kPair<T>] = in[j];
      } else {
        for (int j = 0; j < columns; ++j) out[j * kPair<T>] = in[j * column_step];
      }
    }
  }
}

/// `rows` adjacent columns of row-major y as the A of kInterleaved tiles: [K / pair][rows][pair].
template <class T>
inline void pack_interleaved(const T* y, int64_t y_stride, int64_t K, int rows,
                             TileOperand<T>* packed) {
  for (int64_t k = 0; k < K; ++k) {
    TileOperand<T>* to = packed + k / kPair<T> * rows * kPair<T> + k % kPair<T>;
    for (int i = 0; i < rows; ++i) {
      if constexpr (sizeof(T) == sizeof(TileOperand<T>))
        to[i * kPair<T>] = y[k * y_stride + i];
      else
        to[i * kPair<T>] = to_float(y[k * y_stride + i]);
    }
  }
}

/// One row of finished sums through the epilogue into c. `n` is the column of sums[0].
template <class T>
struct Finish {
  const Epilogue<T>& e;
  T* c;
  int64_t c_stride;

  /// The epilogue's result for a vector of sums that begins at row m, column n.
  template <class... Count>
  [[gnu::always_inline]] static Vec<Acc<T>> value(const Epilogue<T>& e, Vec<Acc<T>> s, int64_t m,
                                                  int64_t n, int64_t c_stride, Count... count) {
    if (e.bias) s += load(e.bias + n, count...);
    if (e.pre_activation)
      store(
          e.pre_activation + m * (e.pre_activation_stride ? e.pre_activation_stride : c_stride) + n,
          s, count...);
    if (e.activation == Activation::gelu) s = gelu(s);
    if (e.activation == Activation::relu) s = relu(s);
    if (e.gamma) s *= load(e.gamma + n, count...);
    const int64_t at = m * (e.residual_stride ? e.residual_stride : c_stride) + n;
    if (e.mask) s = load(e.mask + at, count...) > Vec<Acc<T>>{} ? s : Vec<Acc<T>>{};
    if (e.residual) s += load(e.residual + at, count...);
    if (e.residual2) s += load(e.residual2 + at, count...);
    return s;
  }

  template <class... Count>
  [[gnu::always_inline]] void lanes(const Acc<T>* sums, int64_t m, int64_t n,
                                    Count... count) const {
    store(c + m * c_stride + n, value(e, load(sums), m, n, c_stride, count...), count...);
  }

  void row(const Acc<T>* sums, int64_t m, int64_t n, int64_t columns) const {
    int64_t j = 0;
    for (; j + kLanes<T> <= columns; j += kLanes<T>) lanes(sums + j, m, n + j);
    if (j < columns) lanes(sums + j, m, n + j, int(columns - j));
  }
};

}  // namespace fathom::cpu::FATHOM_ISA
