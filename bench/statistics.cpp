#include "bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace fathom::bench {

double quantile(std::span<const double> samples, double q) {
  check(!samples.empty() && q >= 0 && q <= 1, "quantile: expected samples and a share, got ",
        samples.size(), " samples and ", q);
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  const double position = q * double(sorted.size() - 1);
  const size_t below = size_t(position), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - double(below)) * (sorted[above] - sorted[below]);
}

// How many of the orders of m and n samples give each value of U: ways(m, n, u) is the sum of
// ways(m - 1, n, u - n), the largest being of the first kind, and ways(m, n - 1, u).
static std::vector<double> orders(size_t m, size_t n) {
  std::vector<std::vector<double>> row(n + 1, {1});  // of m = 0: U is 0, in one way
  for (size_t i = 1; i <= m; ++i) {
    std::vector<std::vector<double>> next(n + 1);
    next[0] = {1};
    for (size_t j = 1; j <= n; ++j) {
      next[j].assign(i * j + 1, 0);
      for (size_t u = 0; u < row[j].size(); ++u) next[j][u + j] += row[j][u];
      for (size_t u = 0; u < next[j - 1].size(); ++u) next[j][u] += next[j - 1][u];
    }
    row = std::move(next);
  }
  return row[n];
}

double probability_larger(std::span<const double> a, std::span<const double> b) {
  check(!a.empty() && !b.empty(), "probability_larger: expected samples on both sides, got ",
        a.size(), " and ", b.size());
  const double m = double(b.size()), n = double(a.size());
  double u = 0, ties = 0;  // pairs in which b is larger, half of the equal ones
  for (const double y : b)
    for (const double x : a) u += y > x ? 1 : y == x ? 0.5 : 0;
  std::vector<double> all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size();) {
    size_t j = i;
    while (j < all.size() && all[j] == all[i]) ++j;
    const double t = double(j - i);
    ties += t * t * t - t;
    i = j;
  }
  if (ties == 0 && a.size() <= 50 && b.size() <= 50) {
    const std::vector<double> ways = orders(b.size(), a.size());
    double total = 0, extreme = 0;
    for (size_t i = 0; i < ways.size(); ++i) {
      total += ways[i];
      if (double(i) >= u) extreme += ways[i];
    }
    return extreme / total;
  }
  const double N = m + n;
  const double variance = m * n / 12 * (N + 1 - ties / (N * (N - 1)));
  if (variance <= 0) return 1;  // all samples are equal
  // Half a step towards the middle: U is a whole number, the normal distribution continuous.
  return 0.5 * std::erfc((u - m * n / 2 - 0.5) / std::sqrt(2 * variance));
}

}  // namespace fathom::bench
