#pragma once

// What attention's forward and backward passes are made of: register tiles of scores and values,
// exponentials, and the order in which keys and values are packed.

#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/isa/half.h"
#include "kernels/cpu/isa/simd.h"

namespace fathom::cpu::FATHOM_ISA {

// Register tiles. 32 registers hold 12 x 2 or 6 x 4 sums beside the operands, 16 hold 6 x 2.
constexpr bool kManyRegisters = kVectorBytes == 64;
constexpr int kScoreRows = kManyRegisters ? 12 : 6, kScoreVecs = 2;
constexpr int kValueRows = 6, kValueVecs = kManyRegisters ? 4 : 2;

/// Keys of a panel.
template <class T>
constexpr int kPanelKeys = kScoreVecs* kLanes<T>;

/// What a product multiplies: bf16 where pairs of them multiply in hardware.
template <class T>
struct FactorOf {
  using type = Acc<T>;
};
template <>
struct FactorOf<Bf16> {
  template <bool kDot, class = void>
  struct Choose {
    using type = float;
  };
  template <class Dummy>
  struct Choose<true, Dummy> {
    using type = Bf16;
  };
  using type = Choose<kHasBf16Dot>::type;
};
template <class T>
using Factor = typename FactorOf<T>::type;

/// Consecutive terms of a sum that are stored together.
template <class F>
constexpr int kTerms = sizeof(F) == 2 ? 2 : 1;

template <class F>
constexpr int64_t pad_terms(int64_t n) {
  return (n + kTerms<F> - 1) / kTerms<F> * kTerms<F>;
}
template <class T>
constexpr int64_t pad_lanes(int64_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}
template <class T>
constexpr int64_t pad_panel(int64_t n) {
  return (n + kPanelKeys<T> - 1) / kPanelKeys<T> * kPanelKeys<T>;
}

// ---- products -------------------------------------------------------------------------------

/// Operands with F stored: one term, or a pair of terms, a lane.
template <class F>
struct Operands {
  using V = Vec<Acc<F>>;
  using B = V;
  [[gnu::always_inline]] static B load_b(const F* p) { return load(p); }
  [[gnu::always_inline]] static B load_a(const F* p) { return broadcast(*p); }
  [[gnu::always_inline]] static V multiply_add(B a, B b, V c) { return fma(a, b, c); }
};
#if defined(__AVX512BF16__)
template <>
struct Operands<Bf16> {
  using V = Vec<float>;
  using B = __m512bh;
  [[gnu::always_inline]] static B load_b(const Bf16* p) {
    return bits_as<__m512bh>(_mm512_loadu_si512(p));
  }
  [[gnu::always_inline]] static B load_a(const Bf16* p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, sizeof pair);
    return bits_as<__m512bh>(_mm512_set1_epi32(pair));
  }
  [[gnu::always_inline]] static V multiply_add(B a, B b, V c) { return _mm512_dpbf16_ps(c, a, b); }
};
#endif

/// How the left factor lies in memory: a[row * stride + term] or a[term * stride + row].
enum class Left { kRows, kColumns };

/// c[row][column] += sum over terms of a[row, term] b[term, column]. `steps` terms, or pairs.
template <class F, Left kLeft, int kRows, int kVecs>
[[gnu::always_inline]] inline void multiply(Vec<Acc<F>> (&c)[kRows][kVecs], const F* a,
                                            int64_t a_stride, const F* b, int64_t b_stride,
                                            int64_t steps) {
  using O = Operands<F>;
  // Unrolled: the end of a loop of 16 rounds is foreseen, that of one of 64 is not.
#pragma GCC unroll 4
  for (int64_t k = 0; k < steps; ++k) {
    typename O::B bv[kVecs];
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v) bv[v] = O::load_b(b + v * kLanes<F> * kTerms<F>);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const typename O::B av = O::load_a(kLeft == Left::kRows ? a + i * a_stride : a + i);
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) c[i][v] = O::multiply_add(av, bv[v], c[i][v]);
    }
    a += kLeft == Left::kRows ? kTerms<F> : a_stride;
    b += b_stride;
  }
}

// Calls f(Rows<n>, first row) for tiles that cover `rows`: whole tiles, then ones of 2, then of 1.
template <int n>
struct Rows {
  static constexpr int value = n;
};
template <int kTile, class F>
[[gnu::always_inline]] inline void for_row_tiles(int64_t rows, F f) {
  int64_t i = 0;
  for (; i + kTile <= rows; i += kTile) f(Rows<kTile>{}, i);
  for (; i + 2 <= rows; i += 2) f(Rows<2>{}, i);
  if (i < rows) f(Rows<1>{}, i);
}

// ---- elementary pieces ----------------------------------------------------------------------

/// 2^x for a score minus its row's maximum, in [-inf, 1] or NaN; below 2^-125 it is 2^-125, nothing
/// beside the 1 of the maximum. The polynomial is the one of degree 5 with the least relative error
/// on [-1/2, 1/2], 9.2e-8, by Lawson's iteration; with its roundings 1.5 ulp.
[[gnu::always_inline]] inline Vec<float> exp2_of_difference(Vec<float> x) {
  x = max(x, broadcast(-125.0f));
  const Vec<float> n = round_to_even(x), r = x - n;
  Vec<float> p = broadcast(1.326472731e-3f);
  p = fma(p, r, broadcast(9.671512991e-3f));
  p = fma(p, r, broadcast(5.550733581e-2f));
  p = fma(p, r, broadcast(2.402224243e-1f));
  p = fma(p, r, broadcast(6.931470037e-1f));
  p = fma(p, r, broadcast(1.0f));
  // p * 2^n is normal, so n goes straight to the exponent; a NaN gives n = -2^31 and stays a NaN.
  const auto exponent = __builtin_convertvector(n, Vec<int32_t>) << 23;
  return bits_as<Vec<float>>(bits_as<Vec<int32_t>>(p) + exponent);
}
[[gnu::always_inline]] inline Vec<double> exp2_of_difference(Vec<double> x) { return exp2(x); }

constexpr double kLog2E = 1.4426950408889634, kLn2 = 0.69314718055994531;

template <class A>
[[gnu::always_inline]] inline A lowest() {
  return -A(__builtin_inff());
}

/// Copies rows, converting them; columns from width to padded are zero.
template <class T, class F>
static void copy_rows(const T* from, int64_t stride, int64_t rows, int64_t width, int64_t padded,
                      F* to) {
  for (int64_t i = 0; i < rows; ++i, from += stride, to += padded) {
    if constexpr (sizeof(F) == 2) {  // Bf16 as it is
      __builtin_memcpy(to, from, size_t(width) * sizeof(F));
      for (int64_t d = width; d < padded; ++d) to[d] = F{};
    } else {
      int64_t d = 0;
      for (; d + kLanes<T> <= width; d += kLanes<T>) store(to + d, load(from + d));
      for (; d < padded; d += kLanes<T>) {
        const int64_t left = width - d;
        store(to + d, load(from + d, int(left < 0 ? 0 : left)));
      }
    }
  }
}

/// Transposes a square block of words in registers: log2(n) rounds of interleaving row i with row
/// i + n / 2.
template <class W, int n = kVectorBytes / int(sizeof(W))>
[[gnu::always_inline]] inline void transpose(Vec<W> (&rows)[n]) {
  Vec<W> low, high;  // lanes of two vectors in turn, from the lower and from the upper half
  for (int i = 0; i < n; ++i) low[i] = W(i / 2 + i % 2 * n), high[i] = W(n / 2 + i / 2 + i % 2 * n);
  for (int round = 1; round < n; round *= 2) {
    Vec<W> next[n];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
      next[2 * i] = __builtin_shuffle(rows[i], rows[i + n / 2], low);
      next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + n / 2], high);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = next[i];
  }
}

template <int bytes>
struct WordOf {
  using type = uint32_t;
};
template <>
struct WordOf<8> {
  using type = uint64_t;
};

/// Rows -> panels [panel][steps][kPanelKeys][terms]. Rows that do not exist repeat the last one, so
/// that they change no maximum. A step of a row is a word: a term, or a pair of them.
template <class T, class F>
static void pack_transposed(const T* from, int64_t stride, int64_t rows, int64_t width,
                            int64_t first_panel, int64_t last_panel, F* to) {
  constexpr int64_t kKeys = kPanelKeys<T>;
  constexpr int n = kLanes<T>;
  using W = typename WordOf<sizeof(Acc<T>)>::type;
  const int64_t terms = pad_terms<F>(width);
  for (int64_t p = first_panel; p < last_panel; ++p) {
    F* panel = to + p * kKeys * terms;
    for (int64_t r = 0; r < kKeys; r += n)
      for (int64_t d = 0; d < terms; d += n * kTerms<F>) {
        Vec<W> block[n];
        const int64_t left = width - d;
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) {
          const int64_t key = p * kKeys + r + i < rows ? p * kKeys + r + i : rows - 1;
          const T* x = from + key * stride + d;
          if constexpr (kTerms<F> == 1) {
            block[i] = bits_as<Vec<W>>(left >= n ? load(x) : load(x, int(left)));
          } else if (left >= 2 * n) {
            __builtin_memcpy(&block[i], x, sizeof block[i]);
          } else {
            block[i] = Vec<W>{};
            __builtin_memcpy(&block[i], x, size_t(left) * sizeof(T));
          }
        }
        transpose<W>(block);
        const int64_t steps = (left + kTerms<F> - 1) / kTerms<F>;
        F* step = panel + d * kKeys + r * kTerms<F>;
        if (steps >= n) {
#pragma GCC unroll 16
          for (int i = 0; i < n; ++i, step += kKeys * kTerms<F>)
            __builtin_memcpy(step, &block[i], sizeof block[i]);
        } else {
          for (int64_t i = 0; i < steps; ++i, step += kKeys * kTerms<F>)
            __builtin_memcpy(step, &block[i], sizeof block[i]);
        }
      }
  }
}

/// Rows -> [pairs of rows][padded][2], for values whose products take two keys at once.
template <class F>
static void pack_pairs(const F* from, int64_t stride, int64_t rows, int64_t width, int64_t padded,
                       F* to) {
  using Half = VecOf<uint16_t, kVectorBytes / 2>::type;
  const auto words = [&](int64_t t, int64_t d) {
    Half half{};
    const int64_t left = width - d < kFloats ? width - d : kFloats;
    if (t < rows && left == kFloats)
      __builtin_memcpy(&half, from + t * stride + d, sizeof half);
    else if (t < rows)
      __builtin_memcpy(&half, from + t * stride + d, size_t(left) * sizeof(F));
    return __builtin_convertvector(half, Vec<uint32_t>);
  };
  for (int64_t t = 0; t < rows; t += 2)
    for (int64_t d = 0; d < padded; d += kFloats) {
      const Vec<uint32_t> pairs = words(t, d) | words(t + 1, d) << 16;
      __builtin_memcpy(to + t * padded + 2 * d, &pairs, sizeof pairs);
    }
}

}  // namespace fathom::cpu::FATHOM_ISA
