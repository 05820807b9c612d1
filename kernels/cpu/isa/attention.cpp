#include "kernels/cpu/attention_kernels.h"

#include "kernels/cpu/isa/attention_tiles.h"

namespace fathom::cpu::FATHOM_ISA {

// ---- forward --------------------------------------------------------------------------------

template <class T>
struct Forward {
  using A = Acc<T>;
  using F = Factor<T>;
  using V = Vec<A>;
  static constexpr int64_t kKeys = kPanelKeys<T>;
  static constexpr int64_t kSum = int64_t(sizeof(A)), kFactor = int64_t(sizeof(F));

  static int64_t padded_width(int64_t width) { return pad_lanes<T>(width); }

  // Packed: keys, then values [steps][padded width][terms].
  static int64_t keys_bytes(int64_t tokens, int64_t width) {
    return pad_panel<T>(tokens) * pad_terms<F>(width) * kFactor;
  }
  static int64_t packed_bytes(int64_t tokens, int64_t width) {
    return keys_bytes(tokens, width) + pad_panel<T>(tokens) * pad_lanes<T>(width) * kFactor;
  }

  static void pack(const AttentionHead<T>& h, int64_t first, int64_t last, std::byte* packed) {
    pack_transposed(h.k, h.stride, h.tokens, h.width, first, last, reinterpret_cast<F*>(packed));
    F* values = reinterpret_cast<F*>(packed + keys_bytes(h.tokens, h.width));
    const int64_t padded = pad_lanes<T>(h.width), begin = first * kKeys;
    const int64_t end = last * kKeys < h.tokens ? last * kKeys : h.tokens;
    const T* v = h.v + begin * h.stride;
    if constexpr (kTerms<F> == 1)
      copy_rows(v, h.stride, end - begin, h.width, padded, values + begin * padded);
    else
      pack_pairs(v, h.stride, end - begin, h.width, padded, values + begin * padded);
  }

  // Scratch: queries [rows][padded width], maxima [rows][lanes], scores [rows][score stride].
  static int64_t queries_bytes(int64_t rows, int64_t width) {
    return (rows * pad_lanes<T>(width) * kFactor + 63) / 64 * 64;
  }
  static int64_t maxima_bytes(int64_t rows) { return rows * kVectorBytes; }
  // The extra vector keeps the rows off each other's cache sets.
  static int64_t score_stride(int64_t tokens) { return pad_panel<T>(tokens) + kLanes<T>; }
  static int64_t scratch_bytes(int64_t rows, int64_t tokens, int64_t width) {
    return queries_bytes(rows, width) + (maxima_bytes(rows) + 63) / 64 * 64 +
           rows * score_stride(tokens) * kSum;
  }

  // s = q k, and the running maximum of every lane.
  template <int kRows>
  [[gnu::noinline]] static void scores(const F* q, int64_t q_stride, const F* keys, int64_t steps,
                                       A* s, int64_t stride, A* maxima) {
    V c[kRows][kScoreVecs] = {};
    multiply<F, Left::kRows>(c, q, q_stride, keys, kKeys * kTerms<F>, steps);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      V m = load(maxima + i * kLanes<T>);
#pragma GCC unroll 2
      for (int v = 0; v < kScoreVecs; ++v) {
        store(s + i * stride + v * kLanes<T>, c[i][v]);
        m = max(m, c[i][v]);
      }
      store(maxima + i * kLanes<T>, m);
    }
  }

  // A score row -> its exponentials, as factors in the same place; returns their sum. With
  // x = score * factor - shift, for the first `tokens` scores; up to a whole vector, zeros follow.
  static A exponentials(A* s, int64_t tokens, A factor, A shift) {
    const V f = broadcast(factor), minus_shift = broadcast(-shift);
    F* p = reinterpret_cast<F*>(s);
    V sum0{}, sum1{}, sum2{}, sum3{};
    const auto step = [&](int64_t j, V& sum) {
      const V e = exp2_of_difference(fma(load(s + j), f, minus_shift));
      sum += e;
      store(p + j, e);
    };
    constexpr int64_t kStep = kLanes<T>;
    int64_t j = 0;
    for (; j + 4 * kStep <= tokens; j += 4 * kStep) {
      step(j, sum0);
      step(j + kStep, sum1);
      step(j + 2 * kStep, sum2);
      step(j + 3 * kStep, sum3);
    }
    for (; j + kStep <= tokens; j += kStep) step(j, sum0);
    if (j < tokens) {
      V e = exp2_of_difference(fma(load(s + j), f, minus_shift));
      for (int i = 0; i < kStep; ++i) e[i] = j + i < tokens ? e[i] : A(0);
      sum1 += e;
      store(p + j, e);
    }
    return sum((sum0 + sum1) + (sum2 + sum3));
  }

  // y = p v * inverse, in place.
  template <int kRows, int kVecs>
  [[gnu::noinline]] static void outputs(const F* p, int64_t p_stride, const F* values,
                                        int64_t padded, int64_t steps, const A* inverse, T* y,
                                        int64_t y_stride, int64_t columns) {
    V c[kRows][kVecs] = {};
    multiply<F, Left::kRows>(c, p, p_stride, values, padded * kTerms<F>, steps);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        T* to = y + i * y_stride + v * kLanes<T>;
        const int64_t left = columns - v * kLanes<T>;
        if (left >= kLanes<T>)
          store(to, c[i][v] * inverse[i]);
        else
          store(to, c[i][v] * inverse[i], int(left));
      }
    }
  }

  static void run(const AttentionHead<T>& h, const std::byte* packed, int64_t begin, int64_t end,
                  T* y, int64_t y_stride, Sum<T>* lse, std::byte* scratch) {
    const int64_t rows = end - begin, terms = pad_terms<F>(h.width);
    const int64_t stride = score_stride(h.tokens), padded = pad_lanes<T>(h.width);
    F* q = reinterpret_cast<F*>(scratch);
    A* maxima = reinterpret_cast<A*>(scratch + queries_bytes(rows, h.width));
    A* s = reinterpret_cast<A*>(scratch + queries_bytes(rows, h.width) +
                                (maxima_bytes(rows) + 63) / 64 * 64);
    const F* keys = reinterpret_cast<const F*>(packed);
    const F* values = reinterpret_cast<const F*>(packed + keys_bytes(h.tokens, h.width));

    copy_rows(h.q + begin * h.stride, h.stride, rows, h.width, padded, q);
    for (int64_t i = 0; i < rows; ++i) store(maxima + i * kLanes<T>, broadcast(lowest<A>()));
    for (int64_t j = 0; j < h.tokens; j += kKeys)
      for_row_tiles<kScoreRows>(rows, [&](auto n, int64_t i) {
        scores<decltype(n)::value>(q + i * padded, padded, keys + j * terms, terms / kTerms<F>,
                                   s + i * stride + j, stride, maxima + i * kLanes<T>);
      });

    const A factor = A(h.scale * kLog2E);
    for (int64_t i = 0; i < rows; ++i) {
      const A top = max_lane(load(maxima + i * kLanes<T>));
      const A total = exponentials(s + i * stride, h.tokens, factor, top * factor);
      if (lse) lse[begin + i] = A(double(top) * h.scale + __builtin_log(double(total)));
      maxima[i] = 1 / total;  // the maxima of rows up to i are used up
    }

    const int64_t steps = (h.tokens + kTerms<F> - 1) / kTerms<F>;
    const F* p = reinterpret_cast<const F*>(s);
    const int64_t p_stride = stride * kSum / kFactor;
    T* out = y + begin * y_stride;
    int64_t d = 0;
    const auto columns = [&](auto vecs) {  // of all rows, so that the values come from far once
      constexpr int kVecs = decltype(vecs)::value;
      for_row_tiles<kValueRows>(rows, [&](auto n, int64_t i) {
        outputs<decltype(n)::value, kVecs>(p + i * p_stride, p_stride, values + d * kTerms<F>,
                                           padded, steps, maxima + i, out + i * y_stride + d,
                                           y_stride, h.width - d);
      });
      d += kVecs * kLanes<T>;
    };
    while (d + kValueVecs * kLanes<T> <= padded) columns(Rows<kValueVecs>{});
    while (d < padded) columns(Rows<1>{});
  }
};

// ---- backward -------------------------------------------------------------------------------

template <class T>
struct Backward {
  using A = Acc<T>;
  using V = Vec<A>;
  static constexpr int64_t kKeys = kPanelKeys<T>, kSum = int64_t(sizeof(A));
  // A block of probabilities and its gradients, the packed keys and the sums stay in the L2 cache.
  static constexpr int64_t kQueryBlock = 96, kKeyBlock = 256;
  static constexpr int64_t kStride = kKeyBlock + kLanes<T>;

  struct Scratch {
    A *keys, *values;  // [panels][width][kKeys]
    A* key_rows;       // [kKeyBlock][padded]
    A *q, *dy;         // [kQueryBlock][padded]
    A *p, *ds;         // [kQueryBlock][kStride]
    A *dk, *dv;        // [kKeyBlock][padded]
    A *shift, *delta;  // [kQueryBlock]
  };

  static int64_t scratch_bytes(int64_t width) {
    const int64_t padded = pad_lanes<T>(width);
    return kSum * (2 * kKeyBlock * width + 3 * kKeyBlock * padded + 2 * kQueryBlock * padded +
                   2 * kQueryBlock * kStride + 2 * kQueryBlock);
  }

  static Scratch divide(std::byte* scratch, int64_t width) {
    const int64_t padded = pad_lanes<T>(width);
    A* next = reinterpret_cast<A*>(scratch);
    const auto take = [&](int64_t count) {
      A* const part = next;
      next += count;
      return part;
    };
    Scratch s;
    s.keys = take(kKeyBlock * width);
    s.values = take(kKeyBlock * width);
    s.key_rows = take(kKeyBlock * padded);
    s.dk = take(kKeyBlock * padded);
    s.dv = take(kKeyBlock * padded);
    s.q = take(kQueryBlock * padded);
    s.dy = take(kQueryBlock * padded);
    s.p = take(kQueryBlock * kStride);
    s.ds = take(kQueryBlock * kStride);
    s.shift = take(kQueryBlock);
    s.delta = take(kQueryBlock);
    return s;
  }

  // p = exp(scale q k - lse) = 2^(factor q k - shift)
  template <int kRows>
  [[gnu::noinline]] static void probabilities(const A* q, int64_t padded, int64_t width,
                                              const A* keys, A factor, const A* shift, A* p) {
    V c[kRows][kScoreVecs] = {};
    multiply<A, Left::kRows>(c, q, padded, keys, kKeys, width);
    const V f = broadcast(factor);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kScoreVecs; ++v)
        store(p + i * kStride + v * kLanes<T>,
              exp2_of_difference(fma(c[i][v], f, broadcast(-shift[i]))));
    }
  }

  // ds = p (dy v - delta), without the scale
  template <int kRows>
  [[gnu::noinline]] static void score_grads(const A* dy, int64_t padded, int64_t width,
                                            const A* values, const A* delta, const A* p, A* ds) {
    V c[kRows][kScoreVecs] = {};
    multiply<A, Left::kRows>(c, dy, padded, values, kKeys, width);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kScoreVecs; ++v) {
        const int64_t at = i * kStride + v * kLanes<T>;
        store(ds + at, load(p + at) * (c[i][v] - delta[i]));
      }
    }
  }

  // out = or += a b for [rows, padded] sums.
  template <Left kLeft, int kRows, int kVecs>
  [[gnu::noinline]] static void accumulate(const A* a, int64_t a_stride, const A* b, int64_t padded,
                                           int64_t steps, A* out, bool first) {
    V c[kRows][kVecs];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v)
        c[i][v] = first ? V{} : load(out + i * padded + v * kLanes<T>);
    multiply<A, kLeft>(c, a, a_stride, b, padded, steps);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) store(out + i * padded + v * kLanes<T>, c[i][v]);
  }

  template <Left kLeft>
  static void product(const A* a, int64_t a_stride, const A* b, int64_t padded, int64_t rows,
                      int64_t steps, A* out, bool first) {
    for_row_tiles<kValueRows>(rows, [&](auto n, int64_t i) {
      constexpr int kRows = decltype(n)::value;
      const A* const left = a + (kLeft == Left::kRows ? i * a_stride : i);
      int64_t d = 0;
      for (; d + kValueVecs * kLanes<T> <= padded; d += kValueVecs * kLanes<T>)
        accumulate<kLeft, kRows, kValueVecs>(left, a_stride, b + d, padded, steps,
                                             out + i * padded + d, first);
      for (; d < padded; d += kLanes<T>)
        accumulate<kLeft, kRows, 1>(left, a_stride, b + d, padded, steps, out + i * padded + d,
                                    first);
    });
  }

  static void load_queries(const AttentionHead<T>& h, const AttentionGrads<T>& g, int64_t begin,
                           int64_t rows, const Scratch& s) {
    const int64_t padded = pad_lanes<T>(h.width);
    copy_rows(h.q + begin * h.stride, h.stride, rows, h.width, padded, s.q);
    copy_rows(g.dy + begin * g.y_stride, g.y_stride, rows, h.width, padded, s.dy);
    for (int64_t i = 0; i < rows; ++i) {
      const T* y = g.y + (begin + i) * g.y_stride;
      V dot{};
      for (int64_t d = 0; d < h.width; d += kLanes<T>) {
        const int count = int(h.width - d < kLanes<T> ? h.width - d : kLanes<T>);
        dot = fma(load(s.dy + i * padded + d), load(y + d, count), dot);
      }
      s.delta[i] = sum(dot);  // sum over keys of p dp
      s.shift[i] = A(g.lse[begin + i] * kLog2E);
    }
  }

  static void store_grads(const A* from, int64_t rows, int64_t width, double scale, T* to,
                          int64_t stride) {
    const int64_t padded = pad_lanes<T>(width);
    for (int64_t i = 0; i < rows; ++i)
      add_parts(from + i * padded, 1, 0, scale, to + i * stride, width);
  }

  static void add_parts(const Sum<T>* part, int64_t parts, int64_t part_stride, double scale,
                        T* out, int64_t width) {
    for (int64_t d = 0; d < width; d += kLanes<T>) {
      V total = load(part + d);  // parts are padded
      for (int64_t s = 1; s < parts; ++s) total += load(part + s * part_stride + d);
      total *= A(scale);
      if (width - d >= kLanes<T>)
        store(out + d, total);
      else
        store(out + d, total, int(width - d));
    }
  }

  static void run(const AttentionHead<T>& h, const AttentionGrads<T>& g, int64_t begin, int64_t end,
                  std::byte* scratch) {
    const Scratch s = divide(scratch, h.width);
    const int64_t padded = pad_lanes<T>(h.width);
    const A factor = A(h.scale * kLog2E);
    for (int64_t k0 = begin; k0 < end; k0 += kKeyBlock) {
      const int64_t keys = end - k0 < kKeyBlock ? end - k0 : kKeyBlock;
      const int64_t panels = (keys + kKeys - 1) / kKeys;
      pack_transposed(h.k + k0 * h.stride, h.stride, keys, h.width, 0, panels, s.keys);
      pack_transposed(h.v + k0 * h.stride, h.stride, keys, h.width, 0, panels, s.values);
      copy_rows(h.k + k0 * h.stride, h.stride, keys, h.width, padded, s.key_rows);
      for (int64_t q0 = 0; q0 < h.tokens; q0 += kQueryBlock) {
        const int64_t rows = h.tokens - q0 < kQueryBlock ? h.tokens - q0 : kQueryBlock;
        load_queries(h, g, q0, rows, s);
        for (int64_t j = 0; j < keys; j += kKeys)
          for_row_tiles<kScoreRows>(rows, [&](auto n, int64_t i) {
            constexpr int kRows = decltype(n)::value;
            const int64_t at = i * kStride + j;
            probabilities<kRows>(s.q + i * padded, padded, h.width, s.keys + j * h.width, factor,
                                 s.shift + i, s.p + at);
            score_grads<kRows>(s.dy + i * padded, padded, h.width, s.values + j * h.width,
                               s.delta + i, s.p + at, s.ds + at);
          });
        product<Left::kColumns>(s.p, kStride, s.dy, padded, keys, rows, s.dv, q0 == 0);
        product<Left::kColumns>(s.ds, kStride, s.q, padded, keys, rows, s.dk, q0 == 0);
        product<Left::kRows>(s.ds, kStride, s.key_rows, padded, rows, keys, g.dq + q0 * padded,
                             k0 == begin);
      }
      store_grads(s.dk, keys, h.width, h.scale, g.dk + k0 * g.grad_stride, g.grad_stride);
      store_grads(s.dv, keys, h.width, 1, g.dv + k0 * g.grad_stride, g.grad_stride);
    }
  }
};

template <class T>
constexpr AttentionLoops<T> kLoops{
    .key_panel = kPanelKeys<T>,
    .row_tile = kScoreRows,
    .padded_width = Forward<T>::padded_width,
    .packed_bytes = Forward<T>::packed_bytes,
    .pack = Forward<T>::pack,
    .forward_scratch = Forward<T>::scratch_bytes,
    .forward = Forward<T>::run,
    .backward_scratch = Backward<T>::scratch_bytes,
    .backward = Backward<T>::run,
    .add_parts = Backward<T>::add_parts,
};

const ByType<AttentionLoops> attention{kLoops<double>, kLoops<float>, kLoops<F16>, kLoops<Bf16>};

}  // namespace fathom::cpu::FATHOM_ISA
