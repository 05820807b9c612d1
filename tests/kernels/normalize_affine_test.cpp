#include "kernels/normalize_affine.h"

#include <cmath>
#include <limits>

#include "kernels/masks.h"
#include "tests/kernels/drawn.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

static Tensor normalized(const Tensor& x, const Tensor& mask) {
  return normalize_affine(x, mask, masked_statistics(x, mask));
}

TEST_CASE("normalize_affine: five values by hand") {
  const Tensor x = from_values({1, 5}, {1, 2, 3, 4, 5}, {DType::f64});
  CHECK(close(normalized(x, all_of({1, 5})),
              std::vector<double>{-5.0 / 3, -5.0 / 6, 0, 5.0 / 6, 5.0 / 3}, {.relative = 1e-15}));
}

TEST_CASE("normalize_affine: the result has median 0 and mean absolute deviation 1") {
  const Tensor x = random_tensor({2, 37, 41}, {DType::f64}), mask = drawn_mask(2, x.shape());
  const MaskedStatistics s = masked_statistics(normalized(x, mask), mask);
  CHECK(values(s.median) == std::vector<double>{0, 0});
  CHECK(close(s.deviation, std::vector<double>{1, 1}, {.relative = 1e-14}));
}

TEST_CASE("normalize_affine: scale and shift vanish, a negative scale turns the sign") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Tensor x = random_tensor({2, 9, 11}, {dtype}), mask = drawn_mask(2, x.shape());
  const std::vector<double> y = values(normalized(x, mask));
  // Powers of two and a shift of the size of the values: two roundings of values below 8, divided
  // by a deviation of about 0.8.
  const Tolerance tolerance{.absolute = 64 * epsilon(dtype)};
  CHECK(close(normalized(affine(x, 4, -2), mask), y, tolerance));
  CHECK(close(normalized(affine(x, 0.5, 3), mask), y, tolerance));
  // An odd count, or the lower median would become the upper one.
  const Tensor odd = x.narrow(0, 0, 1), full_mask = all_of({1, 9, 11});
  const Tensor turned = normalized(affine(odd, -1, 0), full_mask);
  CHECK(close(affine(turned, -1, 0), values(normalized(odd, full_mask)), tolerance));
}

TEST_CASE("normalize_affine: gradients match central differences") {
  // Odd and even counts, holes, one pixel. The derivative of a median exists where values differ by
  // more than the step, which holds for drawn ones: they are multiples of 2^-16.
  const Shape shape = GENERATE(Shape{1, 5}, Shape{2, 6}, Shape{2, 7, 9}, Shape{1, 2});
  CAPTURE(shape);
  const Tensor mask = GENERATE_REF(all_of(shape), drawn_mask(3, shape));
  if (values(masked_statistics(drawn(1, shape, 0), mask).deviation)[0] == 0) return;
  CHECK(gradcheck([&](const Inputs& in) { return normalized(in[0], mask); },
                  {drawn(1, shape, -0.5)}, 1e-5));
}

TEST_CASE("normalize_affine: gradients with a median that is hidden, and with one that is not") {
  // Three of four pixels are valid, all positive: the median of all is one of them. Then fewer than
  // half: it is 0.
  const Shape shape{1, 7, 9};
  std::vector<double> half(63);
  for (size_t i = 0; i < 63; i += 2) half[i] = 1;
  half[0] = 0;
  const Tensor x = drawn(1, shape, 0.25);
  for (const Tensor& mask : {drawn_mask(3, shape), from_values(shape, half, {DType::boolean})})
    CHECK(gradcheck(
        [&](const Inputs& in) {
          return normalize_affine(in[0], mask,
                                  masked_statistics(in[0], mask, MedianOver::all_with_zeros));
        },
        {x}, 1e-5));
}

TEST_CASE("normalize_affine: the gradient is orthogonal to constants and to x") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Shape shape{2, 101, 203};
  const Tensor x = random_tensor(shape, {dtype}), mask = drawn_mask(3, shape);
  const std::vector<double> dx =
      values(output_and_grads([&](const Inputs& in) { return normalized(in[0], mask); }, {x})[1]);
  const std::vector<double> vx = values(x), vm = values(mask);
  for (size_t b = 0; b < 2; ++b) {
    double ones = 0, along = 0;
    for (size_t i = b * dx.size() / 2; i < (b + 1) * dx.size() / 2; ++i) {
      ones += dx[i], along += dx[i] * vx[i];
      if (vm[i] == 0) CHECK(dx[i] == 0);
    }
    // 15000 numbers of order 1 and one of order 100, the median's. Each is rounded by half an
    // epsilon, and so is each addition here to a sum of up to 150: 15000 * 150 / 2, of both signs,
    // hence the root of the count: 120 * 150 / 2. A missing term would leave 100.
    CHECK(std::fabs(ones) < 9000 * epsilon(dtype));
    CHECK(std::fabs(along) < 9000 * epsilon(dtype));
  }
}

TEST_CASE("normalize_affine: the first of equal medians gets the gradient") {
  const Tensor x = from_values({1, 5}, {1, 2, 2, 2, 4}, {DType::f64});  // t = 2, s = 3/5, S = 0
  const Tensor dx = gradient_of(
      [](const Tensor& x) {
        return normalized(x, all_of({1, 5}));
      },
      x, {1, 0, 0, 0, 0});
  // A = 1, C = y_0 = -5/3, so C/n = -1/3.
  const double s = 0.6;
  CHECK(close(dx, std::vector<double>{(1.0 - 1.0 / 3) / s, -1 / s, 0, 0, (1.0 / 3) / s},
              {.absolute = 1e-15, .relative = 1e-14}));
}

TEST_CASE("normalize_affine: hidden pixels and emptied images are 0 and send nothing") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor mask = drawn_mask(3, {2, 7, 9});
  const Tensor x = hide(random_tensor({2, 7, 9}), mask, nan);
  const MaskedStatistics s = masked_statistics(x, mask);
  const Tensor first = mask_images(mask, from_values({2}, {1, 0}));
  const auto results =
      output_and_grads([&](const Inputs& in) { return normalize_affine(in[0], first, s); }, {x});
  const std::vector<double> y = values(results[0]), dx = values(results[1]), kept = values(first);
  for (size_t i = 0; i < y.size(); ++i) {
    CHECK(std::isfinite(y[i]));
    CHECK(std::isfinite(dx[i]));
    if (kept[i] == 0) CHECK((y[i] == 0 && dx[i] == 0));
  }
  CHECK(same_bits(normalize_affine(x, none_of(x.shape()), s), zeros(x.shape())));
}

TEST_CASE("normalize_affine: threads do not change the bits") {
  const Tensor x = random_tensor({3, 101, 203}), mask = drawn_mask(2, x.shape());
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads([&](const Inputs& in) { return normalized(in[0], mask); }, {x});
  }));
}

}  // namespace fathom
