#include "kernels/least_squares.h"

#include <cmath>
#include <limits>

#include "kernels/elementwise.h"
#include "kernels/masked_error.h"
#include "tests/kernels/drawn.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

TEST_CASE("least_squares: three points by hand, constants have no scale") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Tensor x = from_values({3, 3}, {0, 1, 2, 0.1, 0.1, 0.1, 5, 6, 7}, {dtype});
  const Tensor target = from_values({3, 3}, {1, 3, 5, 1, 2, 3, 1, 1, 4}, {dtype});
  const Tensor mask = from_values({3, 3}, {1, 1, 1, 1, 1, 1, 0, 0, 0}, {DType::boolean});
  const LeastSquares fit = least_squares(x, target, mask);
  CHECK(values(fit.scale) == std::vector<double>{2, 0, 0});
  CHECK(values(fit.shift) == std::vector<double>{1, 0, 0});
  CHECK(values(fit.count) == std::vector<double>{3, 3, 0});
  const Tensor r = sub(align_least_squares(x, target, mask), target);
  CHECK(close(masked_mse(r, mask), std::vector<double>{0, 14.0 / 3, 0},
              {.relative = epsilon(dtype)}));
}

TEST_CASE("least_squares: no other map comes nearer") {
  const Tensor x = random_tensor({2, 9, 11}, {DType::f64});
  const Tensor target = random_tensor({2, 9, 11}, {DType::f64}, 2), mask = drawn_mask(3, x.shape());
  const LeastSquares fit = least_squares(x, target, mask);
  const std::vector<double> vx = values(x), vt = values(target), vm = values(mask);
  // The normal equations: residuals are orthogonal to 1 and to x.
  for (size_t b = 0; b < 2; ++b) {
    double ones = 0, along = 0;
    for (size_t i = b * 99; i < (b + 1) * 99; ++i) {
      if (vm[i] == 0) continue;
      const double r = values(fit.scale)[b] * vx[i] + values(fit.shift)[b] - vt[i];
      ones += r, along += r * vx[i];
    }
    CHECK(std::fabs(ones) < 99 * 8 * epsilon(DType::f64));
    CHECK(std::fabs(along) < 99 * 8 * epsilon(DType::f64));
  }
}

TEST_CASE("least_squares: an offset does not swallow the digits") {
  // A metre-scale map 4096 away from 0: exact in f32, and a sum of squares would need 2^24 * 2^11.
  std::vector<double> far, target;
  for (int i = 0; i < 1000; ++i) far.push_back(4096 + i % 7), target.push_back(1 + 0.5 * (i % 7));
  const LeastSquares fit =
      least_squares(from_values({1, 1000}, far), from_values({1, 1000}, target), all_of({1, 1000}));
  CHECK(close(fit.scale, std::vector<double>{0.5}, {.relative = 1e-13}));
  CHECK(close(fit.shift, std::vector<double>{-2047}, {.relative = 1e-13}));
}

TEST_CASE("least_squares: the aligned map's gradients match central differences") {
  const Shape shape = GENERATE(Shape{1, 2}, Shape{2, 5, 7});
  const Tensor target = random_tensor(shape, {DType::f64}, 2);
  for (const Tensor& mask : {all_of(shape), drawn_mask(3, shape)})
    CHECK(gradcheck([&](const Inputs& in) { return align_least_squares(in[0], target, mask); },
                    {random_tensor(shape, {DType::f64})}, 1e-5));
}

TEST_CASE("least_squares: constants get no gradient, hidden NaN has no effect") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor mask = drawn_mask(3, {2, 5, 7}), target = drawn(2, {2, 5, 7}, 0, DType::f32);
  const Tensor x = drawn(1, {2, 5, 7}, 0, DType::f32);
  const auto f = [&](const Tensor& target) {
    return [&mask, target](const Inputs& in) { return align_least_squares(in[0], target, mask); };
  };
  const auto clean = output_and_grads(f(target), {x});
  const auto hidden = output_and_grads(f(hide(target, mask, nan)), {hide(x, mask, nan)});
  CHECK(same_bits(clean[0], hidden[0]));
  CHECK(same_bits(clean[1], hidden[1]));
  CHECK(same_bits(output_and_grads(f(target), {full({2, 5, 7}, 0.7)})[1], zeros({2, 5, 7})));
}

TEST_CASE("least_squares: threads do not change the bits") {
  const Tensor x = random_tensor({3, 101, 203}), mask = drawn_mask(2, x.shape());
  const Tensor target = random_tensor(x.shape(), {}, 2);
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads(
        [&](const Inputs& in) { return align_least_squares(in[0], target, mask); }, {x});
  }));
}

}  // namespace fathom
