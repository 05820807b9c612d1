#include "kernels/masked_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/drawn.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

namespace {

struct Expected {
  std::vector<double> median, deviation, index, count;
};

// By sorting.
Expected reference(const Tensor& x, const Tensor& mask) {
  const std::vector<double> vx = values(x), vm = values(mask);
  const size_t B = size_t(x.dim(0)), N = vx.size() / B;
  Expected expected;
  for (size_t b = 0; b < B; ++b) {
    std::vector<double> kept;
    for (size_t i = b * N; i < (b + 1) * N; ++i)
      if (vm[i]) kept.push_back(vx[i]);
    std::sort(kept.begin(), kept.end());
    const double t = kept.empty() ? 0 : kept[(kept.size() - 1) / 2];
    double sum = 0, index = -1;
    for (const double v : kept) sum += std::fabs(v - t);
    for (size_t i = 0; i < N && index < 0; ++i)
      if (vm[b * N + i] && vx[b * N + i] == t) index = double(i);
    expected.median.push_back(t);
    expected.deviation.push_back(kept.empty() ? 0 : sum / double(kept.size()));
    expected.index.push_back(index);
    expected.count.push_back(double(kept.size()));
  }
  return expected;
}

void check_statistics(const Tensor& x, const Tensor& mask) {
  const MaskedStatistics actual = masked_statistics(x, mask);
  const Expected expected = reference(x, mask);
  CHECK(close(actual.median, expected.median, {}));
  // Sums of differences in double; then one rounding.
  CHECK(close(actual.deviation, expected.deviation,
              {.absolute = 1e-300, .relative = epsilon(x.dtype())}));
  CHECK(values(actual.index) == expected.index);
  CHECK(values(actual.count) == expected.count);
}

}  // namespace

TEST_CASE("masked_statistics: match sorting") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Shape shape =
      GENERATE(Shape{1, 1}, Shape{3, 2}, Shape{2, 3}, Shape{3, 5, 7}, Shape{2, 101, 203});
  CAPTURE(dtype, shape);
  const Tensor x = random_tensor(shape, {dtype});
  check_statistics(x, all_of(shape));
  check_statistics(x, drawn_mask(2, shape));
  check_statistics(x, none_of(shape));
  check_statistics(strided_copy_of(x), drawn_mask(2, shape));
}

TEST_CASE("masked_statistics: of equal values the first valid one is the median") {
  const Tensor x = from_values({1, 7}, {2, 1, 2, 2, 3, 2, 0});
  CHECK(values(masked_statistics(x, all_of({1, 7})).index) == std::vector<double>{0});
  const Tensor without_first = from_values({1, 7}, {0, 1, 1, 1, 1, 1, 1}, {DType::boolean});
  CHECK(values(masked_statistics(x, without_first).index) == std::vector<double>{2});
  check_statistics(full({2, 20000}, -2.5), drawn_mask(3, {2, 20000}));
  check_statistics(from_values({1, 3}, {0, -0.0, -0.0}), all_of({1, 3}));
}

TEST_CASE("masked_statistics: the lower of two middle values") {
  const Tensor x = from_values({1, 4}, {4, 1, 3, 2});
  const MaskedStatistics s = masked_statistics(x, all_of({1, 4}));
  CHECK(values(s.median) == std::vector<double>{2});
  CHECK(values(s.index) == std::vector<double>{3});
  CHECK(values(s.deviation) == std::vector<double>{1});
}

TEST_CASE("masked_statistics: what is hidden is not looked at, what is not finite sorts last") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = INFINITY;
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Tensor x = from_values({1, 6}, {nan, 3, -inf, 1, inf, 2}, {dtype});
  const Tensor mask = from_values({1, 6}, {0, 1, 0, 1, 0, 1}, {DType::boolean});
  const MaskedStatistics hidden = masked_statistics(x, mask);
  CHECK(values(hidden.median) == std::vector<double>{2});
  CHECK(close(hidden.deviation, std::vector<double>{2.0 / 3}, {.relative = epsilon(dtype)}));
  const MaskedStatistics shown = masked_statistics(x, all_of({1, 6}));  // -inf 1 2 3 inf nan
  CHECK(values(shown.median) == std::vector<double>{2});
  CHECK(std::isnan(shown.deviation.item()));
}

TEST_CASE("masked_statistics: a permutation of the pixels changes nothing but the place") {
  const Tensor x = random_tensor({1, 1001}, {DType::f64});
  std::vector<double> reversed = values(x);
  std::reverse(reversed.begin(), reversed.end());
  const MaskedStatistics a = masked_statistics(x, all_of({1, 1001}));
  const MaskedStatistics b =
      masked_statistics(from_values({1, 1001}, reversed, {DType::f64}), all_of({1, 1001}));
  CHECK(same_bits(a.median, b.median));
  CHECK(close(a.deviation, values(b.deviation), {.relative = 1e-14}));
  CHECK(a.index.item() == 1000 - b.index.item());
}

TEST_CASE("masked_statistics: hidden pixels as zeros, as the code of MiDaS has it") {
  // Sorted: 0 0 1 2 3 and 0 0 0 -1 5 (two hidden, three hidden), without a valid one the last.
  const Tensor x = from_values({3, 5}, {9, 3, 1, 9, 2, 7, 7, 5, 7, -1, 4, 4, 4, 4, 4});
  const Tensor mask =
      from_values({3, 5}, {0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0}, {DType::boolean});
  const MaskedStatistics s = masked_statistics(x, mask, MedianOver::all_with_zeros);
  CHECK(values(s.median) == std::vector<double>{1, 0, 0});
  CHECK(values(s.index) == std::vector<double>{2, 0, -1});
  CHECK(values(s.count) == std::vector<double>{3, 2, 0});
  CHECK(values(s.deviation) == std::vector<double>{1, 3, 0});
}

TEST_CASE("masked_statistics: which images are usable") {
  // Fine, too few, none, constant, not finite.
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = from_values({5, 3}, {1, 2, 4, 1, 2, 4, 1, 2, 4, 7, 7, 7, 1, 2, nan});
  const Tensor mask =
      from_values({5, 3}, {1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1}, {DType::boolean});
  const MaskedStatistics s = masked_statistics(x, mask);
  const MaskedStatistics fine = masked_statistics(random_tensor({5, 3}), all_of({5, 3}));
  const UsableLimits three{.least_count = 3};
  CHECK(values(usable_images(s, fine, three)) == std::vector<double>{1, 0, 0, 0, 1});
  CHECK(values(usable_images(fine, s, three)) == std::vector<double>{1, 0, 0, 0, 1});
  CHECK(values(usable_images(s, fine, {.least_count = 0})) == std::vector<double>{1, 1, 0, 0, 1});
  CHECK(values(usable_images(s, fine)) == std::vector<double>{0, 0, 0, 0, 0});  // 10 by default
}

TEST_CASE("masked_statistics: threads do not change the bits") {
  const Tensor x = random_tensor({3, 101, 203}), mask = drawn_mask(2, x.shape());
  CHECK(same_bits_with_any_threads([&] {
    const MaskedStatistics s = masked_statistics(x, mask);
    return std::vector<Tensor>{s.median, s.deviation, s.index, s.count};
  }));
}

TEST_CASE("masked_statistics: refuses other types") {
  CHECK_THROWS_WITH(masked_statistics(full({1, 2}, 1, {DType::bf16}), all_of({1, 2})),
                    Catch::Contains("masked_statistics") && Catch::Contains("f32 or f64"));
}

}  // namespace fathom
