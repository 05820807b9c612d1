#include "kernels/step_rules.h"

#include "tests/testing.h"

namespace fathom {

TEST_CASE("outlier: a spike after calm is one, the calm values are not") {
  RunningMean mean;
  const OutlierOptions options{.factor = 3, .after = 5, .memory = 0.9};
  for (int i = 0; i < 20; ++i) CHECK_FALSE(is_outlier(options, 1 + 0.1 * (i % 3), mean));
  CHECK(is_outlier(options, 100, mean));
  CHECK_FALSE(is_outlier(options, 1, mean));
  CHECK_FALSE(is_outlier(options, 1e-9, mean));
}

TEST_CASE("outlier: none before enough has been seen, none when off") {
  RunningMean mean;
  const OutlierOptions options{.factor = 2, .after = 3};
  for (const double value : {1.0, 50.0, 2.0}) CHECK_FALSE(is_outlier(options, value, mean));
  CHECK(is_outlier(options, 1000, mean));
  RunningMean unused;
  for (int i = 0; i < 200; ++i) CHECK_FALSE(is_outlier({}, i == 150 ? 1e30 : 1, unused));
}

TEST_CASE("outlier: a lasting change is accepted in time") {
  RunningMean mean;
  const OutlierOptions options{.factor = 2, .after = 5, .memory = 0.9};
  for (int i = 0; i < 50; ++i) is_outlier(options, 1, mean);
  int skipped = 0;
  while (is_outlier(options, 10, mean)) ++skipped;
  // The mean grows by a tenth of itself with each: 10 / 2 is reached after ln 5 / ln 1.1 = 17.
  CHECK(skipped > 10);
  CHECK(skipped < 25);
}

TEST_CASE("outlier: the mean of equal values is exact from the first") {
  RunningMean mean;
  const OutlierOptions options{.factor = 1.5, .after = 1, .memory = 0.99};
  CHECK_FALSE(is_outlier(options, 2, mean));
  CHECK_FALSE(is_outlier(options, 2.9, mean));
  CHECK(is_outlier(options, 4, mean));
}

}  // namespace fathom
