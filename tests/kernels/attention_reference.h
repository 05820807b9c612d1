// Attention's definition and gradient in double, with bounds on the error of computing them in
// float with products in E.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/attention.h"
#include "tests/kernel_host/testing.h"

namespace fathom {

struct AttentionSize {
  int64_t B, T, heads, D;
  int64_t channels() const { return heads * D; }
};

struct AttentionReference {
  std::vector<double> y, lse, y_allowed, lse_allowed;
};

/// Rows of a [B, T, parts, heads, D] array in double.
class TokenRows {
 public:
  template <class E>
  TokenRows(const std::vector<E>& values, const AttentionSize& s, int64_t parts)
      : wide_(widened(values)), s_(s), parts_(parts) {}
  const double* operator()(int64_t b, int64_t t, int64_t part, int64_t h) const {
    return &wide_[size_t((((b * s_.T + t) * parts_ + part) * s_.heads + h) * s_.D)];
  }

 private:
  std::vector<double> wide_;
  AttentionSize s_;
  int64_t parts_;
};

/// Half an ulp of the smallest values: what underflow in E costs.
template <class E>
double underflow() {
  return std::is_same_v<E, float16> ? 0x1p-25 : 0;
}

/// A dot product of D terms in float, in any order, relative to its terms' magnitudes.
inline double dot_error(int64_t D) { return double(D) * epsilon(DType::f32); }

/// score_error is the error of a score relative to the magnitudes of its terms: dot_error(D), or 0
/// for values whose products and sums are exact.
template <class E>
AttentionReference attention_reference(const std::vector<E>& qkv, const AttentionSize& s,
                                       double score_error) {
  const double e = epsilon(DType::f32), u = rounding<E>(), scale = 1 / std::sqrt(double(s.D));
  const double steps = double(s.T) / 32 + 1, tiny = underflow<E>();
  const TokenRows row(qkv, s, 3);
  AttentionReference r;
  r.y.resize(size_t(s.B * s.T * s.channels())), r.y_allowed.resize(r.y.size());
  std::vector<double> p(size_t(s.T));
  for (int64_t b = 0; b < s.B; ++b)
    for (int64_t h = 0; h < s.heads; ++h)
      for (int64_t i = 0; i < s.T; ++i) {
        double largest = -INFINITY, smallest = INFINITY, magnitude = 0, sum = 0;
        for (int64_t j = 0; j < s.T; ++j) {
          double score = 0, terms = 0;
          for (int64_t d = 0; d < s.D; ++d) {
            const double product = row(b, i, 0, h)[d] * row(b, j, 1, h)[d];
            score += product, terms += std::abs(product);
          }
          p[size_t(j)] = score * scale;
          largest = std::max(largest, p[size_t(j)]), smallest = std::min(smallest, p[size_t(j)]);
          magnitude = std::max(magnitude, terms * scale);
        }
        for (double& x : p) sum += x = std::exp(x - largest);
        // An exponent's error: the scores', three roundings of a difference, the scale, exp2
        // itself.
        const double exponent = score_error * magnitude + 4 * e * (largest - smallest) + 4 * e;
        r.lse.push_back(largest + std::log(sum));
        r.lse_allowed.push_back(2 * exponent + (steps + double(s.T) + 4) * e +
                                4 * e * (std::abs(largest) + std::abs(r.lse.back())));
        for (int64_t d = 0; d < s.D; ++d) {
          double y = 0, terms = 0, values = 0;
          for (int64_t j = 0; j < s.T; ++j) {
            const double v = row(b, j, 2, h)[d];
            y += p[size_t(j)] / sum * v, terms += p[size_t(j)] / sum * std::abs(v);
            values += std::abs(v);
          }
          const auto at = size_t(((b * s.T + i) * s.heads + h) * s.D + d);
          r.y[at] = y;
          // Every p is off by its exponent and rounded to E; so is their sum, without the rounding;
          // sums over T keys, `steps` rescalings; the result is rounded to E.
          r.y_allowed[at] = (2 * exponent + u + (double(s.T) + steps + 4) * e) * terms +
                            u * std::abs(y) + tiny * (values / sum + 1) + 1e-30;
        }
      }
  return r;
}

struct AttentionGradient {
  std::vector<double> dqkv, allowed;
};

/// Of the backward pass that is given the exact results, y rounded to E and lse to float.
template <class E>
AttentionGradient attention_gradient(const std::vector<E>& qkv, const AttentionReference& forward,
                                     const std::vector<E>& dy, const AttentionSize& s,
                                     double score_error) {
  const double e = epsilon(DType::f32), u = rounding<E>(), scale = 1 / std::sqrt(double(s.D));
  const double tiny = underflow<E>(), sums = (double(s.T) + 4) * e;
  const TokenRows row(qkv, s, 3), gradient(dy, s, 1), result(forward.y, s, 1);
  AttentionGradient r;
  r.dqkv.assign(qkv.size(), 0), r.allowed.assign(qkv.size(), 0);
  const auto at = [&](int64_t b, int64_t t, int64_t part, int64_t h) {
    return size_t((((b * s.T + t) * 3 + part) * s.heads + h) * s.D);
  };
  for (int64_t b = 0; b < s.B; ++b)
    for (int64_t h = 0; h < s.heads; ++h)
      for (int64_t i = 0; i < s.T; ++i) {
        const double *q = row(b, i, 0, h), *g = gradient(b, i, 0, h), *y = result(b, i, 0, h);
        const double lse = forward.lse[size_t((b * s.heads + h) * s.T + i)];
        double delta = 0, delta_terms = 0;
        for (int64_t d = 0; d < s.D; ++d)
          delta += g[d] * y[d], delta_terms += std::abs(g[d] * y[d]);
        const double delta_error = (u + dot_error(s.D)) * delta_terms;
        for (int64_t j = 0; j < s.T; ++j) {
          const double *k = row(b, j, 1, h), *v = row(b, j, 2, h);
          double score = 0, score_terms = 0, dp = 0, dp_terms = 0;
          for (int64_t d = 0; d < s.D; ++d) {
            score += q[d] * k[d], score_terms += std::abs(q[d] * k[d]);
            dp += g[d] * v[d], dp_terms += std::abs(g[d] * v[d]);
          }
          score *= scale;
          const double p = std::exp(score - lse), ds = p * (dp - delta);
          // An exponent's error: the score's and its scale's, lse's rounding and its factor's, that
          // of the difference, exp2's.
          const double p_error = p * (score_error * score_terms * scale + 3 * e * std::abs(score) +
                                      3 * e * std::abs(lse) + 4 * e);
          const double p_rounded = p_error + u * p + tiny;
          const double ds_rounded = p_error * std::abs(dp - delta) + u * std::abs(ds) + tiny +
                                    p * (dot_error(s.D) * dp_terms + delta_error) +
                                    2 * e * std::abs(ds);
          for (int64_t d = 0; d < s.D; ++d) {
            const auto add = [&](int64_t t, int64_t part, double a, double a_error, double x) {
              r.dqkv[at(b, t, part, h) + size_t(d)] += a * x;
              r.allowed[at(b, t, part, h) + size_t(d)] +=
                  (a_error + sums * std::abs(a)) * std::abs(x);
            };
            add(i, 0, ds * scale, ds_rounded * scale, k[d]);
            add(j, 1, ds * scale, ds_rounded * scale, q[d]);
            add(j, 2, p, p_rounded, g[d]);
          }
        }
      }
  for (size_t n = 0; n < r.dqkv.size(); ++n)
    r.allowed[n] += (u + 2 * e) * std::abs(r.dqkv[n]) + tiny + 1e-30;
  return r;
}

template <class E>
std::vector<E> random_qkv(const AttentionSize& s) {
  return normal<E>(size_t(s.B * s.T * 3 * s.channels()), 1);
}

/// Small integers for queries and keys: their products and sums are exact in float, and scores
/// reach +-1e4.
template <class E>
std::vector<E> large_scores(const AttentionSize& s) {
  std::vector<E> qkv = normal<E>(size_t(s.B * s.T * 3 * s.channels()), 7, 45.0);
  for (size_t i = 0; i < qkv.size(); ++i)
    qkv[i] = int64_t(i) / s.channels() % 3 != 2 ? cast<E>(std::round(cast<float>(qkv[i])))
                                                : cast<E>(cast<float>(qkv[i]) / 45.0f);
  return qkv;
}

/// The bits of values, for comparisons that NaN and the sign of zero take part in.
template <class E>
std::vector<uint32_t> bits_of(const std::vector<E>& values) {
  std::vector<uint32_t> bits(values.size());
  for (size_t i = 0; i < values.size(); ++i) std::memcpy(&bits[i], &values[i], sizeof(E));
  return bits;
}

/// Runs it under schedules, or once if `schedules` is negative. On the kernel host no ldmatrix may
/// meet a bank conflict.
template <class F>
void run_without_bank_conflicts(int schedules, F run) {
  const auto watched = [&] {
#if defined(FATHOM_KERNEL_HOST)
    gpu::host::reset_statistics();
#endif
    run();
#if defined(FATHOM_KERNEL_HOST)
    CHECK(gpu::host::statistics().ldmatrix_bank_conflicts == 0);
#endif
  };
  if (schedules < 0)
    watched();
  else
    under_schedules(schedules, watched);
}

/// Checks forward(qkv, y, lse) against the definition, the CPU's op and itself, in `schedules`
/// random orders beside the two fixed ones; below zero in the current order alone.
template <class E, class Forward>
void check_attention(Forward forward, const std::vector<E>& qkv, const AttentionSize& s,
                     double score_error, int schedules) {
  CAPTURE(s.B, s.T, s.heads, s.D, dtype_of<E>());
  const AttentionReference expected = attention_reference(qkv, s, score_error);
  const std::vector<double> cpu =
      values(attention(tensor_of({s.B, s.T, 3 * s.channels()}, qkv), s.heads));
  std::vector<uint32_t> first;
  const auto run = [&] {
    DeviceArray<E> in(qkv), y(expected.y.size());
    DeviceArray<float> lse(expected.lse.size());
    forward(in, y, lse);
    const auto got = y.get();
    CHECK(within(got, expected.y, expected.y_allowed));
    CHECK(within(got, cpu, twice(expected.y_allowed)));
    CHECK(within(lse.get(), expected.lse, expected.lse_allowed));
    if (first.empty()) first = bits_of(got);
    CHECK(bits_of(got) == first);  // in every order of execution
  };
  run_without_bank_conflicts(schedules, run);
}

/// The values rounded to E.
template <class E>
std::vector<E> rounded(const std::vector<double>& values) {
  std::vector<E> result;
  for (const double x : values) result.push_back(cast<E>(static_cast<float>(x)));
  return result;
}

/// Checks backward(qkv, y, lse, dy, delta, dqkv) on device memory, under schedules or once if
/// `schedules` is negative.
template <class E, class Backward>
void check_attention_gradient(Backward backward, const std::vector<E>& qkv, const AttentionSize& s,
                              double score_error, int schedules) {
  CAPTURE(s.B, s.T, s.heads, s.D, dtype_of<E>());
  const auto dy = normal<E>(s.B * s.T * s.channels(), 2);
  const AttentionReference forward = attention_reference(qkv, s, score_error);
  const AttentionGradient expected = attention_gradient(qkv, forward, dy, s, score_error);
  const auto y = rounded<E>(forward.y);
  const auto lse = rounded<float>(forward.lse);

  Tensor cpu = empty({s.B, s.T, 3 * s.channels()}, {dtype_of<E>()});
  const Shape tokens{s.B, s.T, s.channels()};
  kernels::attention_backward(CpuStream{}, tensor_of(cpu.shape(), qkv), s.heads,
                              tensor_of(tokens, y), tensor_of({s.B, s.heads, s.T}, lse),
                              tensor_of(tokens, dy), cpu);

  std::vector<uint32_t> first;
  const auto run = [&] {
    DeviceArray<E> d_qkv(qkv), d_y(y), d_dy(dy), dqkv(qkv.size());
    DeviceArray<float> d_lse(lse), delta(lse.size());
    backward(d_qkv, d_y, d_lse, d_dy, delta, dqkv);
    const auto got = dqkv.get();
    CHECK(within(got, expected.dqkv, expected.allowed));
    CHECK(within(got, values(cpu), twice(expected.allowed)));
    if (first.empty()) first = bits_of(got);
    CHECK(bits_of(got) == first);  // in every order of execution
  };
  run_without_bank_conflicts(schedules, run);
}

}  // namespace fathom
