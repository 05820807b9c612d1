#include "kernels/gradient_matching.h"

#include <cmath>
#include <limits>

#include "tests/kernels/drawn.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

// The definition: strided maps are made, then their neighbours compared.
static std::vector<double> reference(const Tensor& r, const Tensor& mask, int levels,
                                     GradientDivisor divisor) {
  const std::vector<double> vr = values(r), vm = values(mask);
  const size_t B = size_t(r.dim(0)), H = size_t(r.dim(1)), W = size_t(r.dim(2));
  std::vector<double> losses(B);
  for (size_t b = 0; b < B; ++b) {
    double full_count = 0;
    for (int k = 0; k < levels; ++k) {
      const size_t s = size_t(1) << k, h = (H + s - 1) / s, w = (W + s - 1) / s;
      const auto at = [&](const std::vector<double>& map, size_t y, size_t x) {
        return map[(b * H + y * s) * W + x * s];
      };
      double sum = 0, count = 0;
      for (size_t y = 0; y < h; ++y)
        for (size_t x = 0; x < w; ++x) {
          count += at(vm, y, x);
          if (x + 1 < w && at(vm, y, x) && at(vm, y, x + 1))
            sum += std::fabs(at(vr, y, x + 1) - at(vr, y, x));
          if (y + 1 < h && at(vm, y, x) && at(vm, y + 1, x))
            sum += std::fabs(at(vr, y + 1, x) - at(vr, y, x));
        }
      if (k == 0) full_count = count;
      const double n = divisor == GradientDivisor::level ? count : full_count;
      if (n > 0) losses[b] += sum / n;
    }
  }
  return losses;
}

TEST_CASE("gradient_matching: matches its definition") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Shape shape =
      GENERATE(Shape{1, 1, 1}, Shape{2, 1, 5}, Shape{2, 7, 1}, Shape{3, 6, 7}, Shape{2, 33, 50});
  const int levels = GENERATE(1, 2, 4, 9);
  const GradientDivisor divisor = GENERATE(GradientDivisor::level, GradientDivisor::image);
  CAPTURE(dtype, shape, levels);
  const Tensor r = random_tensor(shape, {dtype});
  for (const Tensor& mask : {all_of(shape), drawn_mask(3, shape), none_of(shape)})
    // Sums of at most 3300 terms of one sign in double, then one rounding.
    CHECK(close(gradient_matching(r, mask, {.levels = levels, .divisor = divisor}),
                reference(r, mask, levels, divisor),
                {.relative = epsilon(dtype) + 3300 * epsilon(DType::f64)}));
}

TEST_CASE("gradient_matching: a ramp and a constant by hand") {
  std::vector<double> ramp;
  for (int i = 0; i < 256; ++i) ramp.push_back(i % 16);
  double expected = 0;
  for (int k = 0; k < 4; ++k) {
    const double n = 16 >> k;
    expected += double(1 << k) * n * (n - 1) / (n * n);
  }
  const Tensor all = all_of({1, 16, 16});
  CHECK(close(gradient_matching(from_values({1, 16, 16}, ramp), all), std::vector<double>{expected},
              {.relative = epsilon(DType::f32)}));
  CHECK(gradient_matching(full({1, 16, 16}, 3.5), all).item() == 0);
}

TEST_CASE("gradient_matching: gradients match central differences") {
  const Shape shape = GENERATE(Shape{1, 1, 1}, Shape{2, 6, 7}, Shape{1, 11, 3});
  const GradientDivisor divisor = GENERATE(GradientDivisor::level, GradientDivisor::image);
  for (const Tensor& mask : {all_of(shape), drawn_mask(3, shape)})
    CHECK(gradcheck(
        [&](const Inputs& in) { return gradient_matching(in[0], mask, {.divisor = divisor}); },
        {random_tensor(shape, {DType::f64})}));
}

TEST_CASE("gradient_matching: equal neighbours have no gradient, hidden NaN no effect") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor mask = drawn_mask(3, {2, 6, 7}), r = drawn(1, {2, 6, 7}, 0, DType::f32);
  const auto f = [&](const Inputs& in) { return gradient_matching(in[0], mask); };
  const auto clean = output_and_grads(f, {r}), hidden = output_and_grads(f, {hide(r, mask, nan)});
  CHECK(same_bits(clean[0], hidden[0]));
  CHECK(same_bits(clean[1], hidden[1]));
  const auto flat = output_and_grads(
      [](const Inputs& in) {
        return gradient_matching(in[0], all_of({1, 6, 7}));
      },
      {full({1, 6, 7}, 2)});
  CHECK(values(flat[1]) == std::vector<double>(42, 0.0));
}

TEST_CASE("gradient_matching: threads do not change the bits") {
  const Tensor r = random_tensor({3, 61, 53}), mask = drawn_mask(2, r.shape());
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads([&](const Inputs& in) { return gradient_matching(in[0], mask); }, {r});
  }));
}

TEST_CASE("gradient_matching: says what is wrong") {
  CHECK_THROWS_WITH(gradient_matching(full({2, 3}, 1), all_of({2, 3})),
                    Catch::Contains("must be [B, H, W], but is [2, 3]"));
  CHECK_THROWS_WITH(gradient_matching(full({1, 2, 3}, 1), all_of({1, 2, 3}), {.levels = 0}),
                    Catch::Contains("levels must be 1 to 16"));
}

}  // namespace fathom
