#include "bench/statistics.h"

#include <random>

#include "tests/testing.h"

namespace fathom::bench {

TEST_CASE("bench: quantiles lie between neighbouring samples") {
  const std::vector<double> samples{4, 1, 3, 2};
  CHECK(quantile(samples, 0) == 1);
  CHECK(quantile(samples, 1) == 4);
  CHECK(median(samples) == 2.5);
  CHECK(quantile(samples, 0.1) == Approx(1.3));  // position 0.3 of 0..3
  CHECK(median(std::vector<double>{7}) == 7);
  CHECK_THROWS_WITH(quantile({}, 0.5), Catch::Contains("expected samples"));
}

// Every order of the samples, counted one by one.
static double counted_probability(std::vector<double> a, std::vector<double> b) {
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  const auto larger_pairs = [](const std::vector<double>& x, const std::vector<double>& y) {
    double u = 0;
    for (const double v : y)
      for (const double w : x) u += v > w;
    return u;
  };
  const double seen = larger_pairs(a, b);
  int total = 0, extreme = 0;
  for (unsigned mask = 0; mask < 1u << all.size(); ++mask) {
    if (size_t(__builtin_popcount(mask)) != b.size()) continue;
    std::vector<double> x, y;
    for (size_t i = 0; i < all.size(); ++i) (mask >> i & 1 ? y : x).push_back(all[i]);
    ++total;
    extreme += larger_pairs(x, y) >= seen;
  }
  return double(extreme) / total;
}

TEST_CASE("bench: the probability of a rank sum is that of counting all orders") {
  std::mt19937 generator(3);
  std::uniform_real_distribution<double> uniform;
  for (const auto& [m, n] : {std::pair{1, 1}, {3, 5}, {5, 5}, {7, 2}, {6, 8}}) {
    std::vector<double> a, b;
    for (int i = 0; i < m; ++i) a.push_back(uniform(generator));
    for (int i = 0; i < n; ++i) b.push_back(uniform(generator) + 0.2);
    CAPTURE(m, n);
    CHECK(probability_larger(a, b) == Approx(counted_probability(a, b)));
  }
  const std::vector<double> low{1, 2, 3, 4, 5}, high{6, 7, 8, 9, 10};
  CHECK(probability_larger(low, high) == Approx(1.0 / 252));  // 10 over 5
  CHECK(probability_larger(high, low) == 1);
}

TEST_CASE("bench: equal samples are no evidence, and ties leave the approximation close") {
  const std::vector<double> same(20, 1.0);
  CHECK(probability_larger(same, same) == 1);
  std::vector<double> a, b;
  for (int i = 0; i < 30; ++i) a.push_back(i), b.push_back(i + 3.25);
  std::vector<double> with_tie = b;
  with_tie[0] = 4;  // was 3.25: the rank it shares differs by a half
  CHECK(probability_larger(a, with_tie) == Approx(probability_larger(a, b)).epsilon(0.1));
}

}  // namespace fathom::bench
