#pragma once

#include <vector>

#include "tests/testing.h"

namespace fathom {

// A map [B, H, W, C] in double, and each step of a convolution on it in plain loops.
struct Map {
  int64_t B, H, W, C;
  std::vector<double> v;

  double at(int64_t b, int64_t y, int64_t x, int64_t c) const {
    return y < 0 || y >= H || x < 0 || x >= W ? 0 : v[size_t(((b * H + y) * W + x) * C + c)];
  }
};

inline Map map_of(const Tensor& x) { return {x.dim(0), x.dim(1), x.dim(2), x.dim(3), values(x)}; }

inline Map plain_relu(Map x) {
  for (double& e : x.v) e = std::max(e, 0.0);
  return x;
}

inline Map plain_resize(const Map& x, int64_t H, int64_t W) {
  Map y{x.B, H, W, x.C, {}};
  const auto place = [](int64_t i, int64_t from, int64_t to) {
    return to == 1 ? 0 : double(i) * double(from - 1) / double(to - 1);
  };
  for (int64_t b = 0; b < x.B; ++b)
    for (int64_t i = 0; i < H; ++i)
      for (int64_t j = 0; j < W; ++j)
        for (int64_t c = 0; c < x.C; ++c) {
          const double py = place(i, x.H, H), px = place(j, x.W, W);
          const int64_t y0 = int64_t(py), x0 = int64_t(px);
          const double fy = py - double(y0), fx = px - double(x0);
          // A neighbour outside the map has weight 0 and reads as 0.
          y.v.push_back((1 - fy) * ((1 - fx) * x.at(b, y0, x0, c) + fx * x.at(b, y0, x0 + 1, c)) +
                        fy * ((1 - fx) * x.at(b, y0 + 1, x0, c) + fx * x.at(b, y0 + 1, x0 + 1, c)));
        }
  return y;
}

inline Map plain_conv(const Map& x, const Tensor& weight, const Tensor& bias, int64_t stride,
                      int64_t pad) {
  const int64_t O = weight.dim(0), kh = weight.dim(1), kw = weight.dim(2), I = weight.dim(3);
  const std::vector<double> w = values(weight);
  const std::vector<double> b = bias.defined() ? values(bias) : std::vector<double>(size_t(O), 0.0);
  Map y{x.B, (x.H + 2 * pad - kh) / stride + 1, (x.W + 2 * pad - kw) / stride + 1, O, {}};
  for (int64_t n = 0; n < x.B; ++n)
    for (int64_t i = 0; i < y.H; ++i)
      for (int64_t j = 0; j < y.W; ++j)
        for (int64_t o = 0; o < O; ++o) {
          double sum = b[size_t(o)];
          for (int64_t ky = 0; ky < kh; ++ky)
            for (int64_t kx = 0; kx < kw; ++kx)
              for (int64_t c = 0; c < I; ++c)
                sum += w[size_t(((o * kh + ky) * kw + kx) * I + c)] *
                       x.at(n, i * stride + ky - pad, j * stride + kx - pad, c);
          y.v.push_back(sum);
        }
  return y;
}

}  // namespace fathom
