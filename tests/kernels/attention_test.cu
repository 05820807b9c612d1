#include "kernels/cuda/attention.h"

#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

struct Size {
  int64_t B, T, heads, D;
};

struct Reference {
  std::vector<double> y, lse, y_allowed, lse_allowed;
};

// The definition in double, with bounds on the error of one pass in float with products in E.
// score_error is the relative error of a dot product against the sum of its terms' magnitudes.
template <class E>
Reference reference(const std::vector<E>& qkv, const Size& s, double score_error) {
  const double e = epsilon(DType::f32), u = rounding<E>(), scale = 1 / std::sqrt(double(s.D));
  const double steps = double(s.T) / 64 + 1;
  const double tiny = std::is_same_v<E, float16> ? 0x1p-25 : 0;  // half an ulp of the smallest
  const std::vector<double> wide = widened(qkv);
  const auto row = [&](int64_t b, int64_t t, int64_t part, int64_t h) {
    return &wide[(((b * s.T + t) * 3 + part) * s.heads + h) * s.D];
  };
  Reference r;
  r.y.resize(s.B * s.T * s.heads * s.D), r.y_allowed.resize(r.y.size());
  std::vector<double> p(s.T);
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
          p[j] = score * scale;
          largest = std::max(largest, p[j]), smallest = std::min(smallest, p[j]);
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
            y += p[j] / sum * v, terms += p[j] / sum * std::abs(v), values += std::abs(v);
          }
          const int64_t at = ((b * s.T + i) * s.heads + h) * s.D + d;
          r.y[at] = y;
          // Every p is off by its exponent and rounded to E; so is their sum, without the rounding;
          // sums over T keys, `steps` rescalings; the result is rounded to E.
          r.y_allowed[at] = (2 * exponent + u + (double(s.T) + steps + 4) * e) * terms +
                            u * std::abs(y) + tiny * (values / sum + 1) + 1e-30;
        }
      }
  return r;
}

template <class E>
void check_attention(const std::vector<E>& qkv, const Size& s, double score_error, int schedules) {
  CAPTURE(s.B, s.T, s.heads, s.D, dtype_of<E>());
  const Reference expected = reference(qkv, s, score_error);
  const auto bits = [](const std::vector<E>& v) {
    std::vector<uint16_t> b;
    for (const E& x : v) b.push_back(x.bits);
    return b;
  };
  std::vector<uint16_t> first;
  const auto run = [&] {
    DeviceArray<E> in(qkv), y(expected.y.size());
    DeviceArray<float> lse(expected.lse.size());
#if defined(FATHOM_KERNEL_HOST)
    gpu::host::reset_statistics();
#endif
    cuda::attention_forward<E>(nullptr, in, y, lse, s.B, s.T, s.heads, s.D);
    const auto got = y.get();
    CHECK(within(got, expected.y, expected.y_allowed));
    CHECK(within(lse.get(), expected.lse, expected.lse_allowed));
    if (first.empty()) first = bits(got);
    CHECK(bits(got) == first);  // in every order of execution
#if defined(FATHOM_KERNEL_HOST)
    CHECK(gpu::host::statistics().ldmatrix_bank_conflicts == 0);
#endif
  };
  if (schedules < 0)
    run();
  else
    under_schedules(schedules, run);
}

// A dot product of D terms in float, in any order.
double dot_error(int64_t D) { return double(D) * epsilon(DType::f32); }

template <class E>
std::vector<E> random_qkv(const Size& s) {
  return normal<E>(s.B * s.T * 3 * s.heads * s.D, 1);
}

}  // namespace

TEST_CASE("cuda attention: matches its definition for every length") {
  const int64_t T = GENERATE(1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200);
  const Size size{1, T, GENERATE(1, 2), 64};
  check_attention(random_qkv<bfloat16>(size), size, dot_error(64), size.heads == 1 ? 0 : 1);
}

TEST_CASE("cuda attention: matches its definition for an image of 518 x 518") {
  const Size size{1, 1370, 1, 64};
  check_attention(random_qkv<bfloat16>(size), size, dot_error(64), -1);
}

TEST_CASE("cuda attention: takes several images, odd heads, other widths and half floats") {
  const Size size =
      GENERATE(Size{2, 65, 3, 64}, Size{3, 17, 1, 32}, Size{1, 70, 2, 80}, Size{1, 66, 1, 128});
  check_attention(random_qkv<bfloat16>(size), size, dot_error(size.D), 0);
  check_attention(random_qkv<float16>(size), size, dot_error(size.D), 0);
}

TEST_CASE("cuda attention: scores of +-1e4 are exact to rounding") {
  // Small integers: products and sums are exact in float, so only the softmax is at work.
  const Size size{1, 130, 1, 64};
  std::vector<bfloat16> qkv = normal<bfloat16>(size.T * 3 * 64, 7, 45.0);
  for (int64_t i = 0; i < int64_t(qkv.size()); ++i)
    if (i / 64 % 3 != 2) qkv[i] = bfloat16(std::round(float(qkv[i])));
  check_attention(qkv, size, 0, 0);
}

TEST_CASE("cuda attention: a NaN reaches what depends on it") {
  const Size size{1, 70, 2, 64};
  std::vector<bfloat16> qkv = random_qkv<bfloat16>(size);
  qkv[(5 * 3 + 0) * 128 + 3] = bfloat16(NAN);        // a query of head 0
  qkv[(69 * 3 + 2) * 128 + 64 + 9] = bfloat16(NAN);  // a value of head 1: one channel of all tokens
  under_schedules(0, [&] {
    DeviceArray<bfloat16> in(qkv), y(size.T * 128);
    cuda::attention_forward<bfloat16>(nullptr, in, y, nullptr, 1, size.T, 2, 64);
    const auto got = y.get();
    for (int64_t t = 0; t < size.T; ++t)
      for (int64_t c = 0; c < 128; ++c)
        REQUIRE(std::isnan(float(got[t * 128 + c])) == ((t == 5 && c < 64) || c == 64 + 9));
  });
}

TEST_CASE("cuda attention: says which widths it takes") {
  DeviceArray<bfloat16> in(3 * 48), y(48);
  CHECK_THROWS_WITH(cuda::attention_forward<bfloat16>(nullptr, in, y, nullptr, 1, 1, 1, 48),
                    Catch::Contains("32, 64, 80 or 128 channels") && Catch::Contains("not 48"));
}

}  // namespace fathom
