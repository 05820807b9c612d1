#include "train/eval/metrics.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

static std::vector<double> list(const DepthMetrics& metrics) {
  std::vector<double> values;
  visit_metrics(metrics, [&](const char*, double value) { values.push_back(value); });
  return values;
}

TEST_CASE("metrics: a perfect prediction gives zeros and ones") {
  const std::vector<double> z{0.5, 1, 7.25, 80};
  CHECK(list(depth_metrics(z, z)) == std::vector<double>{0, 0, 0, 0, 0, 0, 1, 1, 1});
}

TEST_CASE("metrics: two pixels computed by hand") {
  // z = 1, 4 and z^ = 2, 4: errors 1, 0; ln ratios ln 2, 0; ratios 2, 1.
  const std::vector<double> z{1, 4}, y{2, 4};
  const DepthMetrics m = depth_metrics(z, y);
  CHECK(m.abs_rel == 0.5);
  CHECK(m.sq_rel == 0.5);
  CHECK(m.rmse == Approx(std::sqrt(0.5)).epsilon(1e-14));
  CHECK(m.rmse_log == Approx(std::log(2) * std::sqrt(0.5)).epsilon(1e-14));
  CHECK(m.log10 == Approx(std::log10(2) / 2).epsilon(1e-14));
  CHECK(m.silog == Approx(100 * std::log(2) / 2).epsilon(1e-14));  // deviation of {ln 2, 0}
  CHECK(m.delta1 == 0.5);
  CHECK(m.delta2 == 0.5);
  CHECK(m.delta3 == 0.5);
}

TEST_CASE("metrics: the thresholds of delta are strict and symmetric") {
  const std::vector<double> z{1, 1.25, 1, 1.5625, 1, 1.953125}, y{1.25, 1, 1.5625, 1, 1.953125, 1};
  const DepthMetrics m = depth_metrics(z, y);  // all ratios are powers of 1.25, exact in binary
  CHECK(m.delta1 == 0);
  CHECK(m.delta2 == Approx(2 / 6.0));
  CHECK(m.delta3 == Approx(4 / 6.0));
}

TEST_CASE("metrics: scale moves what it must and nothing else") {
  std::vector<double> z, y, z3, y3, y3_only;
  for (int i = 1; i <= 101; ++i) {
    z.push_back(0.1 * i);
    y.push_back(0.1 * i + 0.05 * (i % 7));
    z3.push_back(3 * z.back());
    y3.push_back(3 * y.back());
  }
  const DepthMetrics one = depth_metrics(z, y), both = depth_metrics(z3, y3),
                     scaled = depth_metrics(z, y3);
  // Rounding of 101 products and logarithms of size 1: 1e-13 is hundreds of epsilons.
  CHECK(both.abs_rel == Approx(one.abs_rel).epsilon(1e-13));
  CHECK(both.rmse == Approx(3 * one.rmse).epsilon(1e-13));
  CHECK(both.sq_rel == Approx(3 * one.sq_rel).epsilon(1e-13));
  CHECK(both.rmse_log == Approx(one.rmse_log).epsilon(1e-12));
  CHECK(scaled.silog == Approx(one.silog).epsilon(1e-12));  // scale-invariant by definition
  CHECK(scaled.rmse_log > one.rmse_log);
}

TEST_CASE("metrics: silog does not cancel where the error is nearly constant") {
  // ln ratios 10 and 10 + 1e-9 have deviation 5e-10; E[x^2] - E[x]^2 would give noise of 1e-7.
  const std::vector<double> z{1, 1}, y{std::exp(10.0), std::exp(10.0) * (1 + 1e-9)};
  CHECK(depth_metrics(z, y).silog == Approx(100 * 5e-10).epsilon(1e-5));
}

TEST_CASE("metrics: the mean counts every image the same") {
  const std::vector<double> z{1, 1, 1, 1}, y{1, 1, 1, 1}, z1{1}, y1{2};
  const DepthMetrics mean = mean_of(std::vector{depth_metrics(z, y), depth_metrics(z1, y1)});
  CHECK(mean.abs_rel == 0.5);
  CHECK(mean.delta1 == 0.5);
}

TEST_CASE("metrics: says what is wrong with the values") {
  const std::vector<double> good{1, 2}, zero{1, 0}, infinite{1, INFINITY}, one{1};
  CHECK_THROWS_WITH(depth_metrics(zero, good),
                    Catch::Contains("the truth must be positive and finite, but value 1 is 0"));
  CHECK_THROWS_WITH(depth_metrics(good, infinite), Catch::Contains("the prediction must be"));
  CHECK_THROWS_WITH(depth_metrics(good, one), Catch::Contains("as many predictions"));
  CHECK_THROWS_WITH(depth_metrics({}, {}), Catch::Contains("at least one"));
  CHECK_THROWS_WITH(mean_of({}), Catch::Contains("no image"));
}

}  // namespace fathom
