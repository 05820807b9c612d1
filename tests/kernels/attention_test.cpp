#include "kernels/attention.h"

#include <cmath>

#include "core/allocator.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

// softmax(q k^T / sqrt(D)) v, one head and query after the other.
static std::vector<double> reference(const Tensor& qkv, int64_t heads) {
  const int64_t B = qkv.dim(0), T = qkv.dim(1), C = qkv.dim(2) / 3, D = C / heads;
  const std::vector<double> x = values(qkv);
  std::vector<double> y(B * T * C), p(T);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t t = 0; t < T; ++t) {
        const auto row = [&](int64_t token, int64_t part) {
          return x.data() + (b * T + token) * 3 * C + part * C + h * D;
        };
        double top = -1e300, total = 0;
        for (int64_t s = 0; s < T; ++s) {
          p[s] = 0;
          for (int64_t d = 0; d < D; ++d) p[s] += row(t, 0)[d] * row(s, 1)[d];
          p[s] /= std::sqrt(double(D));
          top = std::max(top, p[s]);
        }
        for (double& v : p) total += v = std::exp(v - top);
        double* out = y.data() + (b * T + t) * C + h * D;
        for (int64_t s = 0; s < T; ++s)
          for (int64_t d = 0; d < D; ++d) out[d] += p[s] / total * row(s, 2)[d];
      }
  return y;
}

// Scores below 8, off by a rounding of each of D products of order 1, pairwise better than
// 4 epsilon; probabilities within 16 epsilon, values up to 4, whose weighted mean is of order 1.
// With bf16, and on a CUDA device with f16 too, the probabilities themselves are rounded before the
// second product, as every implementation on hardware with such products does.
static Tolerance tolerance(DType dtype, Device device = kCpu) {
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  const bool rounded = dtype == DType::bf16 || (dtype == DType::f16 && device != kCpu);
  return {.absolute = rounded ? epsilon(dtype) : 64 * e + epsilon(dtype) / 256,
          .relative = epsilon(dtype)};
}

// The CUDA kernels are for the models' widths of a head.
static bool has_cuda_kernel(int64_t D) { return D == 32 || D == 64 || D == 80 || D == 128; }

TEST_CASE("attention: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  struct Case {
    int64_t B, T, heads, D;
  };
  const auto [B, T, heads, D] =
      GENERATE(Case{1, 1, 1, 1}, Case{2, 2, 3, 8}, Case{1, 37, 2, 64}, Case{2, 36, 1, 64},
               Case{1, 101, 2, 24}, Case{1, 65, 1, 80}, Case{1, 31, 2, 7}, Case{1, 33, 1, 131});
  CAPTURE(backend, B, T, heads, D);
  if (backend.options.device != kCpu && !has_cuda_kernel(D)) return;
  const Tensor qkv = random_tensor({B, T, 3 * heads * D}, backend.options);
  const Tensor y = attention(qkv, heads);
  CHECK(y.shape() == Shape{B, T, heads * D});
  CHECK(close(y, reference(qkv, heads), tolerance(dtype, backend.options.device)));
  CHECK(same_bits(attention(strided_copy_of(qkv), heads), y));
}

TEST_CASE("attention: the real size") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const Tensor qkv = random_tensor({1, 1370, 3 * 2 * 64}, {dtype});
  CHECK(close(attention(qkv, 2), reference(qkv, 2), tolerance(dtype)));
}

TEST_CASE("attention: the softmax of large scores does not overflow") {
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16);
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  CAPTURE(cpu::isa(), dtype);
  // q and k of one large channel: scores of 0, +-6400 and 12800; all else is plain.
  const int64_t T = 67, D = 8;
  std::vector<double> v = values(random_tensor({1, T, 3 * D}));
  for (int64_t t = 0; t < T; ++t) {
    v[t * 3 * D] = t % 2 ? 160 : -160;
    v[t * 3 * D + D] = double(t % 3 - 1) * 160;
  }
  const Tensor qkv = from_values({1, T, 3 * D}, v, {dtype});
  // Scores near 9000 are rounded to 2^-10 in float, and so are the probabilities.
  CHECK(close(attention(qkv, 1), reference(qkv, 1),
              {.absolute = dtype == DType::bf16  ? 0x1p-6
                           : dtype == DType::f32 ? 0x1p-7
                                                 : 1e-11}));
}

TEST_CASE("attention: equal keys average the values") {
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  const int64_t T = 45, D = 16;
  std::vector<double> v(T * 3 * D);
  for (int64_t t = 0; t < T; ++t)
    for (int64_t d = 0; d < D; ++d) {
      v[t * 3 * D + d] = double(t - d);      // any query
      v[t * 3 * D + D + d] = -3;             // negative scores: padding must not win the maximum
      v[t * 3 * D + 2 * D + d] = double(t);  // mean 22
    }
  const Tensor y = attention(from_values({1, T, 3 * D}, v), 1);
  CHECK(close(y, std::vector<double>(size_t(T * D), 22), {.relative = 8 * 1.2e-7}));
}

TEST_CASE("attention: gradients match central differences") {
  struct Case {
    int64_t B, T, heads, D;
  };
  const auto [B, T, heads, D] = GENERATE(Case{1, 1, 1, 4}, Case{2, 5, 2, 3}, Case{1, 41, 1, 8},
                                         Case{1, 14, 2, 17}, Case{1, 300, 1, 2});
  CAPTURE(B, T, heads, D);
  const int64_t h = heads;
  CHECK(gradcheck([h](const Inputs& in) { return attention(in[0], h); },
                  {random_tensor({B, T, 3 * heads * D}, {DType::f64})}));
}

TEST_CASE("attention: gradients in every type and size agree with f64") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  const int64_t T = GENERATE(50, 331);
  CAPTURE(backend, T);
  if (backend.options.device != kCpu && T > 100)
    return;  // tests/kernels/attention_backward_test.cu
  const auto f = [](const Inputs& in) { return attention(in[0], 2); };
  const Tensor qkv = random_tensor({1, T, 3 * 2 * 64}, backend.options);
  const Tensor actual = output_and_grads(f, {qkv})[1];
  Tensor exact_qkv = qkv.to(kCpu).to(DType::f64).set_requires_grad();
  const Tensor y = attention(exact_qkv, 2);
  backward(y, random_tensor(y.shape(), {dtype}, 77).to(DType::f64));
  // Gradients of order 1 / sqrt(T) for dv and below for dq and dk; their terms are off by some ten
  // roundings. y is rounded to the dtype before delta = sum(dy y), which multiplies p. A CUDA
  // device rounds p and ds to it as well.
  const double e = epsilon(DType::f32), roundings = backend.options.device == kCpu ? 1 : 2;
  CHECK(close(actual, values(exact_qkv.grad()),
              {.absolute = 64 * e + roundings * epsilon(dtype) / 4, .relative = epsilon(dtype)}));
}

TEST_CASE("attention: threads do not change the bits") {
  const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f64);
  const Inputs in{random_tensor({2, 291, 3 * 3 * 24}, {dtype})};
  CHECK(same_bits_with_any_threads(
      [&] { return output_and_grads([](const Inputs& in) { return attention(in[0], 3); }, in); }));
}

TEST_CASE("attention: the scores of all tokens are never in memory at once") {
  const int64_t T = 20001, D = 8;
  const Tensor qkv = random_tensor({1, T, 3 * D});
  const NoGrad no_grad;
  allocator::reset_peak();
  const int64_t before = allocator::statistics().current_bytes;
  const Tensor y = attention(qkv, 1);
  // The result, packed keys and padded values, and a strip of at most 600 KiB for every thread.
  const int64_t linear = y.bytes() + T * (D + 16 + 2) * 4;
  CHECK(allocator::statistics().peak_bytes - before <
        linear + (thread_count() + 1) * (int64_t(700) << 10));
  // The last query, in double.
  const std::vector<double> x = values(qkv), all = values(y);
  std::vector<double> p(T), expected(D);
  double total = 0;
  for (int64_t s = 0; s < T; ++s) {
    double score = 0;
    for (int64_t d = 0; d < D; ++d) score += x[(T - 1) * 3 * D + d] * x[s * 3 * D + D + d];
    total += p[s] = std::exp(score / std::sqrt(double(D)));
  }
  for (int64_t s = 0; s < T; ++s)
    for (int64_t d = 0; d < D; ++d) expected[d] += p[s] / total * x[s * 3 * D + 2 * D + d];
  CHECK(close(y.narrow(1, T - 1, 1), expected, {.absolute = 64 * 1.2e-7}));
}

TEST_CASE("attention: says what is wrong") {
  CHECK_THROWS_WITH(attention(full({1, 4, 100}, 1), 6),
                    Catch::Contains("3 * 6 heads * D") && Catch::Contains("[1, 4, 100]"));
  CHECK_THROWS_WITH(attention(full({4, 18}, 1), 6), Catch::Contains("[4, 18]"));
  CHECK_THROWS_WITH(attention(full({1, 4, 18}, 1), 0), Catch::Contains("at least 1"));
  CHECK_THROWS_WITH(attention(full({1, 4, 18}, 1, {DType::i32}), 6),
                    Catch::Contains("floating dtype"));
}

}  // namespace fathom
