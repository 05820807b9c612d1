#include "kernels/masked_error.h"

#include <cmath>
#include <limits>

#include "tests/kernels/drawn.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

TEST_CASE("masked_error: matches its definition") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Shape shape = GENERATE(Shape{1, 1}, Shape{3, 5, 7}, Shape{2, 101, 203});
  CAPTURE(dtype, shape);
  const Tensor r = random_tensor(shape, {dtype}), mask = drawn_mask(2, shape);
  const Tensor counted = drawn_mask(5, shape);
  const std::vector<double> vr = values(r), vm = values(mask), vc = values(counted);
  const size_t B = size_t(shape[0]), N = vr.size() / B;
  std::vector<double> mae(B), mse(B), kept(B), divisor(B), over_counted(B);
  for (size_t i = 0; i < vr.size(); ++i) {
    const size_t b = i / N;
    if (vm[i]) mae[b] += std::fabs(vr[i]), mse[b] += vr[i] * vr[i], ++kept[b];
    divisor[b] += vc[i];
  }
  for (size_t b = 0; b < B; ++b) {
    over_counted[b] = divisor[b] > 0 ? mae[b] / divisor[b] : 0;
    if (kept[b] > 0) mae[b] /= kept[b], mse[b] /= kept[b];
  }
  // Sums in double and one rounding; the plain sum here runs over 15000 terms of one sign.
  const Tolerance once{.relative = epsilon(dtype) + 15000 * epsilon(DType::f64)};
  CHECK(close(masked_mae(r, mask), mae, once));
  CHECK(close(masked_mse(r, mask), mse, once));
  CHECK(close(masked_mae(r, mask, counted), over_counted, once));
  CHECK(same_bits(masked_mae(strided_copy_of(r), mask), masked_mae(r, mask)));
}

TEST_CASE("masked_error: gradients match central differences") {
  const Shape shape = GENERATE(Shape{1, 1}, Shape{2, 5, 7});
  const Tensor mask = drawn_mask(2, shape), counted = drawn_mask(5, shape);
  const Tensor r = drawn(1, shape, -0.5 + 0x1p-17);  // never 0, at least 2^-17 away
  CHECK(gradcheck([&](const Inputs& in) { return masked_mae(in[0], mask); }, {r}));
  CHECK(gradcheck([&](const Inputs& in) { return masked_mse(in[0], mask); }, {r}));
  CHECK(gradcheck([&](const Inputs& in) { return masked_mae(in[0], mask, counted); }, {r}));
}

TEST_CASE("masked_error: an exact hit has no gradient, hidden NaN no effect") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor r = from_values({2, 3}, {0, -2, nan, nan, nan, nan});
  const Tensor mask = from_values({2, 3}, {1, 1, 0, 0, 0, 0}, {DType::boolean});
  CHECK(values(masked_mae(r, mask)) == std::vector<double>{1, 0});
  CHECK(values(gradient_of([&](const Tensor& r) { return masked_mae(r, mask); }, r, {1, 1})) ==
        std::vector<double>{0, -0.5, 0, 0, 0, 0});
  CHECK(values(gradient_of([&](const Tensor& r) { return masked_mse(r, mask); }, r, {1, 1})) ==
        std::vector<double>{0, -2, 0, 0, 0, 0});
}

TEST_CASE("masked_error: threads do not change the bits") {
  const Tensor r = random_tensor({3, 101, 203}), mask = drawn_mask(2, r.shape());
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads([&](const Inputs& in) { return masked_mae(in[0], mask); }, {r});
  }));
}

}  // namespace fathom
