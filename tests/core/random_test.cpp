#include "core/random.h"

#include <cmath>

#include "core/parallel.h"
#include "tests/testing.h"

namespace fathom {

constexpr int64_t kMany = 1 << 20;

namespace {
struct Moments {
  double mean = 0, variance = 0, fourth = 0;  // fourth: central, over variance^2
  double least = INFINITY, greatest = -INFINITY;
};
}  // namespace

static Moments moments(const std::vector<double>& x) {
  Moments m;
  for (const double v : x) {
    m.mean += v / double(x.size());
    m.least = std::min(m.least, v);
    m.greatest = std::max(m.greatest, v);
  }
  for (const double v : x) m.variance += (v - m.mean) * (v - m.mean) / double(x.size());
  for (const double v : x) m.fourth += std::pow(v - m.mean, 4) / double(x.size());
  m.fourth /= m.variance * m.variance;
  return m;
}

// Statistics of n draws stray from their expectation by sigma / sqrt(n); 5 sigma are allowed.
// Mean: sigma^2 = variance. Variance: sigma^2 = (fourth - 1) * variance^2.
static void check_moments(const Moments& m, double mean, double variance, double fourth) {
  const double allowed = 5 / std::sqrt(double(kMany));
  CHECK(std::fabs(m.mean - mean) < allowed * std::sqrt(variance));
  CHECK(std::fabs(m.variance - variance) < allowed * variance * std::sqrt(fourth - 1));
}

static double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

TEST_CASE("random: uniform moments, range and distribution") {
  Generator generator{42};
  const std::vector<double> x = values(uniform({kMany}, generator));
  const Moments m = moments(x);
  check_moments(m, 0.5, 1.0 / 12, 1.8);
  CHECK(m.least >= 0);
  CHECK(m.greatest < 1);
  // 64 equal bins: chi-squared with 63 degrees of freedom is 63 +- 11.2; 5 sigma are allowed.
  std::vector<double> bins(64, 0);
  for (const double v : x) ++bins[size_t(v * 64)];
  double chi2 = 0;
  for (const double b : bins) chi2 += std::pow(b - kMany / 64.0, 2) / (kMany / 64.0);
  CHECK(std::fabs(chi2 - 63) < 5 * std::sqrt(2 * 63.0));
}

TEST_CASE("random: a uniform interval is half open") {
  Generator generator{1};
  // Floats near 1024 are 2^-13 apart: one draw in 2^14 rounds up to the end.
  const Moments m = moments(values(uniform({kMany}, generator, 1024, 1025)));
  CHECK(m.least >= 1024);
  CHECK(m.greatest < 1025);
  check_moments(moments(values(uniform({kMany}, generator, -3, 5))), 1, 64.0 / 12, 1.8);
}

TEST_CASE("random: normal moments and distribution") {
  Generator generator{42};
  const std::vector<double> x = values(normal({kMany}, generator));
  const Moments m = moments(x);
  check_moments(m, 0, 1, 3);
  // The fourth moment of n draws: sigma^2 = (105 - 9) / n.
  CHECK(std::fabs(m.fourth - 3) < 5 * std::sqrt(96.0 / kMany));
  CHECK(m.greatest < std::sqrt(48 * std::log(2.0)) * 1.00001);  // u is at least 2^-24
  for (double at = -4; at <= 4; at += 0.5) {
    const double p = normal_cdf(at);
    const auto below = std::count_if(x.begin(), x.end(), [&](double v) { return v < at; });
    CAPTURE(at);
    CHECK(std::fabs(double(below) / kMany - p) < 5 * std::sqrt(p * (1 - p) / kMany));
  }
  check_moments(moments(values(normal({kMany}, generator, -7, 0.02))), -7, 0.0004, 3);
}

TEST_CASE("random: neighbours are uncorrelated") {
  Generator generator{42};
  const std::vector<double> x = values(normal({kMany}, generator));
  for (const size_t lag : {1, 2, 3, 4, 8}) {
    double product = 0;
    for (size_t i = 0; i + lag < x.size(); ++i) product += x[i] * x[i + lag];
    CAPTURE(lag);
    CHECK(std::fabs(product) < 5 * std::sqrt(double(kMany)));
  }
}

TEST_CASE("random: truncated normal stays within two deviations") {
  Generator generator{42};
  const std::vector<double> x = values(truncated_normal({kMany}, generator, 0, 1));
  const Moments m = moments(x);
  CHECK(m.least >= -2);
  CHECK(m.greatest <= 2);
  // On [-c, c]: variance 1 - 2 c phi(c) / Z, E x^4 = 3 - 2 (c^3 + 3 c) phi(c) / Z, Z the mass.
  const double c = 2, phi = std::exp(-2.0) / std::sqrt(2 * M_PI);
  const double mass = normal_cdf(c) - normal_cdf(-c);
  const double variance = 1 - 2 * c * phi / mass;
  const double fourth = 3 - 2 * (c * c * c + 3 * c) * phi / mass;
  check_moments(m, 0, variance, fourth / (variance * variance));
  for (double at = -1.75; at < 2; at += 0.25) {
    const double p = (normal_cdf(at) - normal_cdf(-2)) / mass;
    const auto below = std::count_if(x.begin(), x.end(), [&](double v) { return v < at; });
    CAPTURE(at);
    CHECK(std::fabs(double(below) / kMany - p) < 5 * std::sqrt(p * (1 - p) / kMany));
  }
  const Moments scaled = moments(values(truncated_normal({kMany}, generator, 3, 0.02)));
  CHECK(scaled.least >= 2.96 - 1e-6);  // one rounding near 3
  CHECK(scaled.greatest <= 3.04 + 1e-6);
  check_moments(scaled, 3, 0.0004 * variance, fourth / (variance * variance));
}

static std::vector<Tensor> draws(TensorOptions options, const Shape& shape) {
  Generator generator{7, 3};
  return {uniform(shape, generator, -1, 2, options), normal(shape, generator, 1, 3, options),
          truncated_normal(shape, generator, 0, 1, options)};
}

TEST_CASE("random: the same bits with any number of threads, and in every run") {
  const TensorOptions options{GENERATE(DType::f32, DType::f64, DType::bf16, DType::f16)};
  const Shape shape = GENERATE(Shape{1}, Shape{4099}, Shape{3, 70001});
  const std::vector<Tensor> expected = draws(options, shape);
  const int before = thread_count();
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    const std::vector<Tensor> again = draws(options, shape);
    for (size_t i = 0; i < again.size(); ++i) CHECK(same_bits(again[i], expected[i]));
  }
  set_thread_count(before);
}

TEST_CASE("random: golden values, so that seeds mean the same in every version") {
  Generator generator{0};
  // Words 6627e8d5 e169c58d bc57ac4c 9b00dbd8 (the first published answer), over 2^32.
  CHECK(close(uniform({4}, generator),
              std::vector<double>{0x6627e8p-24, 0xe169c5p-24, 0xbc57acp-24, 0x9b00dbp-24}, {}));
}

TEST_CASE("random: a generator moves on by whole blocks of four") {
  for (const auto& [count, blocks] : {std::pair{1, 1}, {4, 1}, {5, 2}, {4096, 1024}}) {
    Generator generator{9, 10};
    uniform({count}, generator);
    CHECK(generator.position == uint64_t(10 + blocks));
    CHECK(generator.seed == 9);
  }
  // Two draws of whole blocks are one draw of both.
  Generator one{9}, two{9};
  const Tensor whole = normal({24}, one);
  const std::vector<Tensor> parts{normal({8}, two), normal({16}, two)};
  CHECK(same_bits(concat(parts, 0), whole));
  CHECK(one.position == two.position);
  Generator other{10};
  CHECK_FALSE(same_bits(normal({24}, other), whole));
}

TEST_CASE("random: half types are the rounded f32 values") {
  const std::vector<Tensor> exact = draws({DType::f32}, {1001});
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const std::vector<Tensor> half = draws({dtype}, {1001});
    for (size_t i = 0; i < half.size(); ++i) CHECK(same_bits(half[i], exact[i].to(dtype)));
  }
}

TEST_CASE("random: a refused dtype leaves the generator where it was") {
  Generator generator{1, 5};
  CHECK_THROWS_WITH(uniform({4}, generator, 0, 1, {DType::i32}),
                    Catch::Contains("expected a floating dtype") && Catch::Contains("got i32"));
  CHECK(generator.position == 5);
}

}  // namespace fathom
