#include "kernels/silog.h"

#include <cmath>
#include <limits>

#include "tests/kernels/drawn.h"
#include "tests/kernels/loss_values.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

namespace {

const Shape kMap{2, 6, 7};
Tensor prediction(DType dtype = DType::f64) { return drawn(1, kMap, 0.25, dtype); }
Tensor target(DType dtype = DType::f64) { return drawn(2, kMap, 0.25, dtype); }
Tensor mask() { return drawn_mask(3, kMap); }

void check_values(const SilogOptions& options, const std::vector<double>& losses,
                  const std::vector<double>& gradient) {
  const DType dtype = GENERATE(DType::f64, DType::f32);
  CAPTURE(dtype);
  // In double but for the last rounding; the sums here and there have 30 terms.
  const Tolerance tolerance{.absolute = 30 * epsilon(DType::f64),
                            .relative = 2 * epsilon(dtype) + 30 * epsilon(DType::f64)};
  const auto f = [&](const Tensor& p) { return silog(p, target(dtype), mask(), options); };
  CHECK(close(f(prediction(dtype)), losses, tolerance));
  // The loss divides once more, rounded.
  CHECK(close(gradient_of(f, prediction(dtype), {1, 0.5}), gradient, tolerance));
}

}  // namespace

TEST_CASE("silog: equals PyTorch, V2") {
  check_values(kSilogV2, torch_values::kSilogV2, torch_values::kSilogV2Grad);
}

TEST_CASE("silog: equals PyTorch, ZoeDepth") {
  check_values(kSilogZoe, torch_values::kSilogZoe, torch_values::kSilogZoeGrad);
}

TEST_CASE("silog: a common factor costs the square root of the weight") {
  // p = e t: g = 1 everywhere, no variance.
  const Tensor p = affine(target(), std::exp(1.0), 0);
  CHECK(close(silog(p, target(), mask()), std::vector<double>(2, std::sqrt(0.5)),
              {.relative = 1e-14}));
  CHECK(close(silog(p, target(), mask(), {.weight = 0.15, .unbiased = true}),
              std::vector<double>(2, std::sqrt(0.15)), {.relative = 1e-14}));
}

TEST_CASE("silog: gradients match central differences") {
  for (const SilogOptions& options : {kSilogV2, kSilogZoe})
    CHECK(gradcheck([&](const Inputs& in) { return silog(in[0], target(), mask(), options); },
                    {prediction()}));
}

TEST_CASE("silog: the batch as one image") {
  const Shape one{1, 12, 7};
  const double n = 2 * 6 * 7;
  double sum = 0, squares = 0;
  const std::vector<double> p = values(prediction()), t = values(target());
  for (size_t i = 0; i < p.size(); ++i) {
    const double g = std::log(p[i]) - std::log(t[i]);
    sum += g, squares += g * g;
  }
  CHECK(close(silog(prediction().view(one), target().view(one), all_of(one)),
              std::vector<double>{std::sqrt(squares / n - 0.5 * sum / n * sum / n)},
              {.relative = 1e-13}));
}

TEST_CASE("silog: nothing to compare costs nothing and sends nothing; hidden NaN has no effect") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Tensor p = from_values({4, 3}, {1, 2, 3, nan, 2, -1, nan, nan, -1, 1, 2, 3}, {dtype});
  const Tensor t = from_values({4, 3}, {2, 3, 3, nan, 3, 0, nan, 0, nan, 1, 2, 3}, {dtype});
  const Tensor m = from_values({4, 3}, {1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1}, {DType::boolean});
  for (const SilogOptions& options : {kSilogV2, kSilogZoe}) {
    const auto results =
        output_and_grads([&](const Inputs& in) { return silog(in[0], t, m, options); }, {p});
    const std::vector<double> loss = values(results[0]), gradient = values(results[1]);
    CHECK(loss[0] > 0);
    for (size_t b = 1; b < 4; ++b) CHECK(loss[b] == 0);  // one pixel, none, a perfect match
    for (size_t i = 3; i < 12; ++i) CHECK(gradient[i] == 0);
  }
}

TEST_CASE("silog: a prediction below 0 reaches the loss") {
  const Tensor p = from_values({1, 3}, {1, -2, 3});
  CHECK_FALSE(std::isfinite(silog(p, full({1, 3}, 1), all_of({1, 3})).item()));
}

TEST_CASE("silog: threads do not change the bits") {
  const Tensor p = drawn(1, {2, 101, 203}, 0.25, DType::f32);
  const Tensor t = drawn(2, p.shape(), 0.25, DType::f32), m = drawn_mask(3, p.shape());
  CHECK(same_bits_with_any_threads(
      [&] { return output_and_grads([&](const Inputs& in) { return silog(in[0], t, m); }, {p}); }));
}

TEST_CASE("silog: every device agrees with f64 on the CPU") {
  const TensorOptions options = GENERATE(from_range(test_options({DType::f32})));
  const SilogOptions form =
      GENERATE(as<SilogOptions>{}, kSilogV2, kSilogZoe, SilogOptions{.least_count = 40});
  const bool large = GENERATE(false, true);  // more than a piece of an image
  CAPTURE(options, form.factor, form.least_count, large);
  const Shape shape = large ? Shape{2, 97, 101} : kMap;
  const auto results = [&](DType dtype, Device device) {
    const Tensor p = drawn(1, shape, 0.25, dtype).to(device),
                 t = drawn(2, shape, 0.25, dtype).to(device), m = drawn_mask(3, shape).to(device);
    return output_and_grads([&](const Inputs& in) { return silog(in[0], t, m, form); }, {p});
  };
  const auto exact = results(DType::f64, kCpu), actual = results(DType::f32, options.device);
  // All is computed in double; the loss that the gradient divides by and both results round once.
  const Tolerance twice{.relative = 4 * epsilon(DType::f32)};
  CHECK(close(actual[0], values(exact[0]), twice));
  CHECK(close(actual[1], values(exact[1]), twice));
}

}  // namespace fathom
