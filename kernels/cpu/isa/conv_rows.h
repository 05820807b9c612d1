#pragma once

// What both ways to convolve 3x3 share: input rows behind a border of zeros, and the 1x1
// convolution behind the last one.

#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/isa/tile.h"

namespace fathom::cpu::FATHOM_ISA {

/// Elements of Sum that hold `count` values of an operand, 64-byte aligned.
template <class T>
static int64_t sums_for(int64_t count) {
  return whole(count, 16);
}

// ---- input rows -------------------------------------------------------------------------------

[[gnu::always_inline]] inline int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }

/// Where pixel i of n_out lies among n_in, corners aligned. Like PyTorch, in the type of the sums.
template <class Sum>
struct Sample {
  int64_t low, high;
  Sum weight;  // of high
  Sample(int64_t i, int64_t n_in, int64_t n_out) {
    const Sum scale = n_out > 1 ? Sum(n_in - 1) / Sum(n_out - 1) : Sum(0);
    const Sum at = scale * Sum(i);
    low = smaller(int64_t(at), n_in - 1);
    high = smaller(low + 1, n_in - 1);
    weight = at - Sum(low);
  }
};

template <class T, class To>
static void copy_values(const T* from, const T* mask, bool clamp, int64_t length, To* to) {
  each_vector<T>(length, [&](int64_t i, auto... count) {
    auto v = load(from + i, count...);
    if (clamp) v = relu(v);
    if (mask) v = load(mask + i, count...) > Vec<Acc<T>>{} ? v : Vec<Acc<T>>{};
    store(to + i, v, count...);
  });
}

/// Columns [x0 - 1, x1 + 1) of row y of image b, zero outside the H x W map. `line` holds a row of
/// the small map.
template <class T, class To>
static void fill_row(const ConvInput<T>& x, int64_t H, int64_t W, int64_t b, int64_t y, int64_t x0,
                     int64_t x1, To* to, Acc<T>* line) {
  const int64_t C = x.channels;
  if (y < 0 || y >= H) {
    for (int64_t i = 0; i < (x1 - x0 + 2) * C; ++i) to[i] = To{};
    return;
  }
  const int64_t begin = larger(x0 - 1, 0), end = smaller(x1 + 1, W);
  for (int64_t i = 0; i < (begin - (x0 - 1)) * C; ++i) to[i] = To{};
  for (int64_t i = (end - (x0 - 1)) * C; i < (x1 - x0 + 2) * C; ++i) to[i] = To{};
  to += (begin - (x0 - 1)) * C;

  if (x.height == H && x.width == W) {
    const int64_t at = ((b * H + y) * W + begin) * C;
    copy_values(x.map + at, x.mask ? x.mask + at : nullptr, x.relu, (end - begin) * C, to);
    return;
  }
  const Sample<Acc<T>> row(y, x.height, H);
  const T* low = x.map + (b * x.height + row.low) * x.width * C;
  const T* high = x.map + (b * x.height + row.high) * x.width * C;
  const int64_t left = Sample<Acc<T>>(begin, x.width, W).low;
  const int64_t right = Sample<Acc<T>>(end - 1, x.width, W).high + 1;
  const auto down = broadcast(row.weight);
  each_vector<T>((right - left) * C, [&](int64_t i, auto... count) {
    const auto a = load(low + left * C + i, count...), z = load(high + left * C + i, count...);
    store(line + i, fma(down, z - a, a), count...);
  });
  for (int64_t column = begin; column < end; ++column, to += C) {
    const Sample<Acc<T>> at(column, x.width, W);
    const Acc<T>*a = line + (at.low - left) * C, *z = line + (at.high - left) * C;
    const auto across = broadcast(at.weight);
    each_vector<T>(C, [&](int64_t i, auto... count) {
      const auto u = load(a + i, count...);
      auto v = fma(across, load(z + i, count...) - u, u);
      if (x.relu) v = relu(v);
      store(to + i, v, count...);
    });
  }
}

// ---- the head -----------------------------------------------------------------------------------

/// The sums of one tile through the 1x1 convolution: adds to total[pixel].
template <class T>
static void add_to_head(const ConvArgs<T>& g, const Acc<T>* sums, int64_t n, int64_t columns,
                        int64_t pixel, Acc<T>* total) {
  const Epilogue<T>& e = g.epilogue;
  Vec<Acc<T>> dot{};
  each_vector<T>(columns, [&](int64_t j, auto... count) {
    const Vec<Acc<T>> s =
        Finish<T>::value(e, e.activation, load(sums + j), pixel, n + j, g.OC, count...);
    dot = fma(s, load(g.head.weight + n + j, count...), dot);
  });
  *total += sum(dot);
}

template <class T>
static void finish_head(const ConvHead<T>& head, const Acc<T>* totals, int64_t count, T* y) {
  using Sum = Acc<T>;
  Sum bias = 0;
  if (head.bias) bias = load(head.bias, 1)[0];
  each_vector<T>(count, [&](int64_t i, auto... part) {
    Vec<Sum> v = load(totals + i, part...) + bias;
    if (head.activation == HeadActivation::relu)
      v = relu(v);
    else
      v = Sum(1) / (Sum(1) + exp(-v));
    store(y + i, v * Sum(head.scale), part...);
  });
}

}  // namespace fathom::cpu::FATHOM_ISA
