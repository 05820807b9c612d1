#include "train/eval/alignment.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

TEST_CASE("alignment: least squares finds the line through exact data") {
  const AffineFit fit =
      fit_least_squares(std::vector<double>{0, 1, 2}, std::vector<double>{1, 3, 5});
  CHECK(fit == AffineFit{2, 1});
}

TEST_CASE("alignment: the residual is orthogonal to the prediction and to a constant") {
  std::vector<double> p, g;
  for (int i = 0; i < 97; ++i) {
    p.push_back(std::sin(0.3 * i) + 0.01 * i);
    g.push_back(1 / (0.5 + (i * 37 % 97)));
  }
  const AffineFit fit = fit_least_squares(p, g);
  double sum = 0, product = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    sum += g[i] - fit(p[i]);
    product += (g[i] - fit(p[i])) * p[i];
  }
  // 97 terms of at most 2, each rounded a few times: 97 * 2 * 4 * 1.1e-16 < 1e-13.
  CHECK(std::abs(sum) < 1e-13);
  CHECK(std::abs(product) < 1e-13);
}

TEST_CASE("alignment: a large common offset of the prediction does not spoil the fit") {
  std::vector<double> p, g;
  for (int i = 0; i < 50; ++i) {
    p.push_back(1e8 + i);
    g.push_back(3 * i);
  }
  // The uncentred normal equations would lose all sixteen digits in sum p^2 - (sum p)^2 / n.
  CHECK(fit_least_squares(p, g).scale == Approx(3).epsilon(1e-12));
}

TEST_CASE("alignment: a constant prediction gives scale and shift zero") {
  CHECK(fit_least_squares(std::vector<double>(7, 0.1), std::vector<double>{1, 2, 3, 4, 5, 6, 7}) ==
        AffineFit{0, 0});
  CHECK(fit_least_squares(std::vector<double>{2}, std::vector<double>{5}) == AffineFit{0, 0});
}

TEST_CASE("alignment: the median of an even count is the middle of two") {
  const std::vector<double> p{4, 1, 3, 2}, g{10, 10, 20, 5};
  CHECK(fit_median(p, g) == AffineFit{10 / 2.5, 0});
  CHECK(fit_median(std::vector<double>{3, 1, 2}, std::vector<double>{9, 8, 1}) == AffineFit{4, 0});
  CHECK(fit_median(std::vector<double>{0, 0, 1}, std::vector<double>{1, 1, 1}) == AffineFit{0, 0});
}

TEST_CASE("alignment: names go both ways, others are refused") {
  for (const char* name : {"none", "median", "disparity", "depth"})
    CHECK(name_of(alignment_of(name)) == name);
  CHECK_THROWS_WITH(alignment_of("lsq"), Catch::Contains("'lsq'") &&
                                             Catch::Contains("none, median, disparity or depth"));
  CHECK_THROWS_WITH(fit_least_squares(std::vector<double>{1}, std::vector<double>{1, 2}),
                    Catch::Contains("fit_least_squares"));
}

}  // namespace fathom
