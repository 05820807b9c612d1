#include "kernels/trim_mask.h"

#include <limits>

#include "kernels/masked_error.h"
#include "tests/kernels/drawn.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

static std::vector<double> kept(std::initializer_list<double> r, TrimRule rule, double trim,
                                DType dtype = DType::f64) {
  const Shape shape{1, int64_t(r.size())};
  return values(trim_mask(from_values(shape, r, {dtype}), all_of(shape), rule, trim));
}

TEST_CASE("trim_mask: ten residuals by hand") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Tensor r = from_values({1, 10}, {-9, 3, 1, -8, 0, 7, 2, -5, 6, 4}, {dtype});
  const Tensor all = all_of({1, 10});
  // The 90th percentile of 0..9 is 8.1: all but 9 are below.
  const Tensor below = trim_mask(r, all, TrimRule::below_quantile, 0.1);
  CHECK(values(below) == std::vector<double>{0, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  CHECK(masked_mae(r, below).item() == 4);
  const Tensor smallest = trim_mask(r, all, TrimRule::smallest, 0.2);
  CHECK(values(smallest) == std::vector<double>{0, 1, 1, 0, 1, 1, 1, 1, 1, 1});
  CHECK(
      close(masked_mae(r, smallest, all), std::vector<double>{2.8}, {.relative = epsilon(dtype)}));
}

TEST_CASE("trim_mask: the quantile is strict, the smallest are counted") {
  const auto quantile = TrimRule::below_quantile, smallest = TrimRule::smallest;
  // 5 values, 50 %: the middle one, which is not below itself.
  CHECK(kept({5, 1, 3, 2, 4}, quantile, 0.5) == std::vector<double>{0, 1, 0, 1, 0});
  CHECK(kept({5, 1, 3, 2, 4}, smallest, 0.5) == std::vector<double>{0, 1, 0, 1, 0});
  CHECK(kept({2, 2, -2, 2}, quantile, 0.1) == std::vector<double>{0, 0, 0, 0});
  CHECK(kept({2, 2, -2, 2}, smallest, 0.3) == std::vector<double>{1, 1, 0, 0});
  CHECK(kept({2, 1, 2, 2}, smallest, 0.5) == std::vector<double>{1, 1, 0, 0});
  CHECK(kept({3}, quantile, 0.1) == std::vector<double>{0});
  CHECK(kept({3}, smallest, 0.2) == std::vector<double>{0});
  CHECK(kept({3, 4}, smallest, 0) == std::vector<double>{1, 1});
  CHECK(kept({3, 4}, quantile, 0) == std::vector<double>{1, 0});
}

TEST_CASE("trim_mask: takes each image by itself, hidden residuals do not count") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor r = from_values({3, 4}, {1, 2, 3, nan, 30, 10, nan, 20, 1, 2, 3, 4});
  const Tensor mask = from_values({3, 4}, {1, 1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0}, {DType::boolean});
  CHECK(values(trim_mask(r, mask, TrimRule::smallest, 0.3)) ==
        std::vector<double>{1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0});
  CHECK(values(trim_mask(r, mask, TrimRule::below_quantile, 0.3)) ==
        std::vector<double>{1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0});
}

TEST_CASE("trim_mask: a NaN stays, so that the loss shows it") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto rule = GENERATE(TrimRule::below_quantile, TrimRule::smallest);
  CHECK(kept({1, 2, 3, 4, nan}, rule, 0.3)[4] == 1);
  CHECK(kept({nan, nan, nan}, rule, 0.3)[0] == 1);
}

TEST_CASE("trim_mask: keeps the share it says") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Tensor r = random_tensor({2, 20001}, {dtype}), all = all_of(r.shape());
  double counts[2] = {};
  for (const double k : values(trim_mask(r, all, TrimRule::smallest, 0.2))) counts[0] += k;
  for (const double k : values(trim_mask(r, all, TrimRule::below_quantile, 0.1))) counts[1] += k;
  CHECK(counts[0] == 2 * 16000);
  CHECK(counts[1] == 2 * 18000);  // position 18000 is a residual itself: the 18000 below it
  CHECK(same_bits_with_any_threads(
      [&] { return std::vector<Tensor>{trim_mask(r, all, TrimRule::below_quantile, 0.1)}; }));
}

TEST_CASE("trim_mask: refuses a share outside [0, 1)") {
  CHECK_THROWS_WITH(kept({1}, TrimRule::smallest, 1), Catch::Contains("trim must be in [0, 1)"));
}

}  // namespace fathom
