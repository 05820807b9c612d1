#pragma once

#include <vector>

#include "tests/testing.h"

namespace fathom {

/// The numbers that drawn() of tests/reference/losses.py draws: multiples of 2^-16 in [0, 1).
inline std::vector<double> drawn(uint32_t seed, int64_t count) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t x = uint32_t(i) * 2654435761u + seed * 40503u + 12345u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    values.push_back(double(x >> 16) / 65536);
  }
  return values;
}

inline Tensor drawn(uint32_t seed, const Shape& shape, double offset, DType dtype = DType::f64) {
  std::vector<double> values = drawn(seed, shape.numel());
  for (double& v : values) v += offset;
  return from_values(shape, values, {dtype});
}

/// True for three of four elements.
inline Tensor drawn_mask(uint32_t seed, const Shape& shape) {
  std::vector<double> values = drawn(seed, shape.numel());
  for (double& v : values) v = v >= 0.25;
  return from_values(shape, values, {DType::boolean});
}

inline Tensor all_of(const Shape& shape) { return full(shape, 1, {DType::boolean}); }
inline Tensor none_of(const Shape& shape) { return full(shape, 0, {DType::boolean}); }

/// x with `value` wherever the mask is false.
inline Tensor hide(const Tensor& x, const Tensor& mask, double value) {
  std::vector<double> hidden = values(x);
  const std::vector<double> kept = values(mask);
  for (size_t i = 0; i < hidden.size(); ++i)
    if (kept[i] == 0) hidden[i] = value;
  return from_values(x.shape(), hidden, x.options());
}

/// a x + b, rounded once to x's dtype.
inline Tensor affine(const Tensor& x, double a, double b) {
  std::vector<double> mapped = values(x);
  for (double& v : mapped) v = a * v + b;
  return from_values(x.shape(), mapped, x.options());
}

/// The gradient of sum over b of weights[b] * f(x)[b].
inline Tensor gradient_of(const std::function<Tensor(const Tensor&)>& f, const Tensor& x,
                          const std::vector<double>& weights) {
  const Tensor leaf = x.detach().clone().set_requires_grad();
  const Tensor y = f(leaf);
  backward(y, from_values(y.shape(), weights, y.options()));
  return leaf.grad();
}

}  // namespace fathom
