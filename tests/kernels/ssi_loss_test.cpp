#include "kernels/ssi_loss.h"

#include <cmath>
#include <limits>

#include "core/autograd.h"
#include "kernels/elementwise.h"
#include "kernels/masks.h"
#include "kernels/weighted_mean.h"
#include "tests/kernels/drawn.h"
#include "tests/kernels/loss_values.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

namespace {

constexpr UsableLimits kTwo{.least_count = 2};
const Shape kMap{2, 6, 7};

Tensor prediction(DType dtype = DType::f64) { return drawn(1, kMap, 0.25, dtype); }
Tensor target(DType dtype = DType::f64) { return drawn(2, kMap, 0.25, dtype); }
Tensor mask() { return drawn_mask(3, kMap); }

// A box in each of the two pictures, as in tests/reference/losses.py.
Tensor inside() {
  std::vector<double> box(2 * 6 * 7);
  for (size_t y = 1; y < 4; ++y)
    for (size_t x = 2; x < 6; ++x) box[y * 7 + x] = 1;
  for (size_t y = 0; y < 3; ++y)
    for (size_t x = 0; x < 4; ++x) box[(6 + y) * 7 + x] = 1;
  return from_values(kMap, box, {DType::boolean});
}

// Against autograd in double: the sums have 84 terms, and the gradient divides by s = 0.2.
void check_values(const SsiOptions& options, const std::vector<double>& losses,
                  const std::vector<double>& gradient) {
  const DType dtype = GENERATE(DType::f64, DType::f32);
  CAPTURE(dtype);
  const Tolerance tolerance{.absolute = 100 * epsilon(dtype), .relative = 100 * epsilon(dtype)};
  const auto f = [&](const Tensor& p) { return ssi_loss(p, target(dtype), mask(), options).loss; };
  CHECK(close(f(prediction(dtype)), losses, tolerance));
  CHECK(close(gradient_of(f, prediction(dtype), {1, 0.5}), gradient, tolerance));
}

// Every combination that a recipe uses.
const std::vector<SsiOptions>& variants() {
  static const std::vector<SsiOptions> all{
      {.limits = kTwo},
      {.gradient_weight = 2, .limits = kTwo},
      {.error = SsiError::trimmed_quantile, .gradient_weight = 2, .limits = kTwo},
      {.error = SsiError::trimmed_smallest, .trim = 0.2, .limits = kTwo},
      {.error = SsiError::half_mean_absolute, .gradient_weight = 0.5, .limits = kTwo},
      {.alignment = SsiAlignment::least_squares,
       .error = SsiError::half_mean_squared,
       .gradient_weight = 0.5,
       .limits = kTwo}};
  return all;
}

}  // namespace

TEST_CASE("ssi_loss: equals PyTorch, Depth Anything V1") {
  check_values({}, torch_values::kSsi, torch_values::kSsiGrad);
}

TEST_CASE("ssi_loss: equals PyTorch, with gradient matching") {
  check_values({.gradient_weight = 2}, torch_values::kSsiMatched, torch_values::kSsiMatchedGrad);
}

TEST_CASE("ssi_loss: equals PyTorch, without the worst tenth") {
  check_values({.error = SsiError::trimmed_quantile, .gradient_weight = 2},
               torch_values::kSsiQuantile, torch_values::kSsiQuantileGrad);
}

TEST_CASE("ssi_loss: equals PyTorch, trimmed as in MiDaS") {
  check_values({.error = SsiError::trimmed_smallest,
                .trim = 0.2,
                .gradient_weight = 0.5,
                .gradients = {.divisor = GradientDivisor::image}},
               torch_values::kSsiSmallest, torch_values::kSsiSmallestGrad);
}

TEST_CASE("ssi_loss: equals PyTorch, least squares") {
  check_values({.alignment = SsiAlignment::least_squares, .error = SsiError::half_mean_squared},
               torch_values::kLeastSquares, torch_values::kLeastSquaresGrad);
  check_values({.alignment = SsiAlignment::least_squares,
                .error = SsiError::half_mean_squared,
                .gradient_weight = 0.5},
               torch_values::kLeastSquaresMatched, torch_values::kLeastSquaresMatchedGrad);
}

TEST_CASE("ssi_loss: five values by hand") {
  const Tensor p = from_values({1, 1, 5}, {1, 2, 3, 4, 5}, {DType::f64});
  const Tensor d = from_values({1, 1, 5}, {1, 2, 3, 4, 9}, {DType::f64});
  CHECK(close(ssi_loss(p, d, all_of({1, 1, 5}), {.limits = kTwo}).loss,
              std::vector<double>{8.0 / 15}, {.relative = 1e-15}));
}

TEST_CASE("ssi_loss: scale and shift of either map change nothing, a turned sign does") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Tensor p = prediction(dtype), d = target(dtype);
  // Multiples of 2^-16 times powers of two are exact; s divides rounded values by about 0.2.
  const Tolerance tolerance{.absolute = 200 * epsilon(dtype), .relative = 200 * epsilon(dtype)};
  for (const SsiOptions& options : variants()) {
    const auto loss = [&](const Tensor& p, const Tensor& d) {
      return ssi_loss(p, d, mask(), options).loss;
    };
    const std::vector<double> expected = values(loss(p, d));
    CHECK(close(loss(affine(p, 4, -2), d), expected, tolerance));
    CHECK(close(loss(affine(p, 0.125, 1), d), expected, tolerance));
    if (options.alignment == SsiAlignment::median) {
      CHECK(close(loss(p, affine(d, 2, 3)), expected, tolerance));
      CHECK(values(loss(affine(p, -1, 0), d))[0] > 1.01 * expected[0]);
    }
    CHECK(close(loss(d, d), std::vector<double>{0, 0}, tolerance));
    CHECK(close(loss(affine(d, 3, 1), d), std::vector<double>{0, 0}, tolerance));
  }
}

TEST_CASE("ssi_loss: gradients match central differences") {
  for (const SsiOptions& options : variants())
    CHECK(
        gradcheck([&](const Inputs& in) { return ssi_loss(in[0], target(), mask(), options).loss; },
                  {prediction()}, 1e-5));
}

TEST_CASE("ssi_loss: a permutation of the pixels changes nothing without neighbours") {
  const auto reversed = [](const Tensor& x) {
    std::vector<double> v = values(x);
    std::reverse(v.begin(), v.end());
    return from_values({1, 6, 14}, v, x.options());
  };
  const auto joined = [](const Tensor& x) { return x.view({1, 6, 14}); };
  for (const SsiOptions& options : variants()) {
    if (options.gradient_weight != 0) continue;
    const double a =
        ssi_loss(joined(prediction()), joined(target()), joined(mask()), options).loss.item();
    const Tensor b =
        ssi_loss(reversed(prediction()), reversed(target()), reversed(mask()), options).loss;
    CHECK(close(b, std::vector<double>{a}, {.relative = 1e-14}));
  }
}

TEST_CASE("ssi_loss: images do not mix") {
  for (const SsiOptions& options : variants()) {
    const auto loss = [&](const Tensor& p, const Tensor& d, const Tensor& m) {
      return ssi_loss(p, d, m, options).loss;
    };
    const Tensor both = loss(prediction(), target(), mask());
    for (const int64_t b : {0, 1}) {
      const auto one = [b](const Tensor& x) { return x.narrow(0, b, 1); };
      CHECK(same_bits(loss(one(prediction()), one(target()), one(mask())), one(both)));
    }
  }
}

TEST_CASE("ssi_loss: what is hidden has no effect and gets no gradient") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const SsiOptions& options : variants()) {
    const auto results = [&](const Tensor& p, const Tensor& d) {
      return output_and_grads(
          [&](const Inputs& in) { return ssi_loss(in[0], d, mask(), options).loss; }, {p});
    };
    const auto clean = results(prediction(), target());
    const auto hidden = results(hide(prediction(), mask(), nan), hide(target(), mask(), nan));
    CHECK(same_bits(clean[0], hidden[0]));
    CHECK(same_bits(clean[1], hidden[1]));
    const std::vector<double> gradient = values(hidden[1]), kept = values(mask());
    for (size_t i = 0; i < kept.size(); ++i)
      if (kept[i] == 0) CHECK(gradient[i] == 0);
  }
}

TEST_CASE("ssi_loss: degenerate images cost nothing, send nothing and are counted") {
  // Fine, no pixel, one pixel, nine pixels, constant target, constant prediction.
  constexpr int64_t kN = 4 * 5;
  const Shape shape{6, 4, 5};
  std::vector<double> p = drawn(1, 6 * kN), d = drawn(2, 6 * kN), m(6 * kN, 1);
  for (int64_t i = 0; i < kN; ++i) {
    m[size_t(kN + i)] = 0;
    m[size_t(2 * kN + i)] = i == 7;
    m[size_t(3 * kN + i)] = i < 9;
    d[size_t(4 * kN + i)] = 0.7;
    p[size_t(5 * kN + i)] = 0.3;
  }
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Tensor target = from_values(shape, d, {dtype});
  const Tensor mask = from_values(shape, m, {DType::boolean});
  for (SsiOptions options : variants()) {
    options.limits = {};
    const Tensor leaf = from_values(shape, p, {dtype}).set_requires_grad();
    const SsiLosses losses = ssi_loss(leaf, target, mask, options);
    CHECK(values(losses.usable) == std::vector<double>{1, 0, 0, 0, 0, 0});
    CHECK(values(losses.degenerate) == std::vector<double>{0, 1, 1, 1, 1, 1});
    CHECK(values(losses.valid) == std::vector<double>{1, 0, 0, 0, 0, 0});
    const std::vector<double> loss = values(losses.loss);
    CHECK(loss[0] > 0);
    for (size_t b = 1; b < 6; ++b) CHECK(loss[b] == 0);
    backward(losses.loss, full({6}, 1, {dtype}));
    const std::vector<double> gradient = values(leaf.grad());
    for (size_t i = 0; i < gradient.size(); ++i) {
      if (i >= size_t(kN)) CHECK(gradient[i] == 0);
    }
  }
}

TEST_CASE("ssi_loss: a NaN of the network reaches the loss") {
  for (const SsiOptions& options : variants()) {
    std::vector<double> p = values(prediction());
    size_t valid = 0;
    while (values(mask())[valid] == 0) ++valid;
    p[valid] = std::numeric_limits<double>::quiet_NaN();
    const std::vector<double> loss =
        values(ssi_loss(from_values(kMap, p, {DType::f64}), target(), mask(), options).loss);
    CHECK(std::isnan(loss[0]));
    CHECK(std::isfinite(loss[1]));
  }
}

TEST_CASE("cutmix_ssi_loss: equals PyTorch") {
  const SsiOptions options{.gradient_weight = 2, .limits = kTwo};
  const auto f = [&](const Tensor& p) {
    return cutmix_ssi_loss(p, target(), mask(), inside(), options).loss;
  };
  const Tolerance tolerance{.absolute = 1e-13, .relative = 1e-13};
  CHECK(close(f(prediction()), torch_values::kCutMix, tolerance));
  CHECK(close(gradient_of(f, prediction(), {1, 0.5}), torch_values::kCutMixGrad, tolerance));
}

TEST_CASE("cutmix_ssi_loss: without a box, or with one over all, it is the plain loss") {
  const Tensor box = GENERATE(none_of(kMap), all_of(kMap));
  for (const SsiOptions& options : variants()) {
    const SsiLosses plain = ssi_loss(prediction(), target(), mask(), options);
    const SsiLosses mixed = cutmix_ssi_loss(prediction(), target(), mask(), box, options);
    CHECK(same_bits(mixed.loss, plain.loss));
    CHECK(same_bits(mixed.usable, plain.usable));
    CHECK(same_bits(mixed.valid, plain.valid));
    CHECK(values(mixed.degenerate) == std::vector<double>{0, 0});
  }
}

TEST_CASE("cutmix_ssi_loss: regions have scales of their own") {
  // The target inside the box has another scale and shift than outside: still a perfect match.
  const Tensor far = affine(target(), 2, 1), near = affine(target(), 0.25, -3);
  const Tensor mixed = hide(far, inside(), 0);
  const Tensor rest = hide(near, mask_and_not(all_of(kMap), inside()), 0);
  std::vector<double> d = values(mixed);
  for (size_t i = 0; i < d.size(); ++i) d[i] += values(rest)[i];
  for (const SsiOptions& options : variants()) {
    const Tensor t = from_values(kMap, d, {DType::f64});
    CHECK(close(cutmix_ssi_loss(target(), t, mask(), inside(), options).loss,
                std::vector<double>{0, 0}, {.absolute = 1e-13}));
    if (options.alignment == SsiAlignment::median)
      CHECK(values(ssi_loss(target(), t, mask(), options).loss)[0] > 0.1);
  }
}

TEST_CASE("cutmix_ssi_loss: a region without a valid pixel costs nothing, the other one counts") {
  const Tensor valid_outside = mask_and_not(mask(), inside());
  const SsiOptions options{.limits = kTwo};
  const SsiLosses mixed = cutmix_ssi_loss(prediction(), target(), valid_outside, inside(), options);
  const SsiLosses outside = ssi_loss(prediction(), target(), valid_outside, options);
  const double share = 1 - 12.0 / 42;  // of the pictures, outside the boxes
  std::vector<double> expected = values(outside.loss);
  for (double& v : expected) v *= share;
  CHECK(close(mixed.loss, expected, {.relative = 1e-15}));
  CHECK(values(mixed.usable) == std::vector<double>{1, 1});
  CHECK(values(mixed.degenerate) == std::vector<double>{1, 1});
  const SsiLosses nothing = cutmix_ssi_loss(prediction(), target(), none_of(kMap), inside());
  CHECK(values(nothing.loss) == std::vector<double>{0, 0});
  CHECK(values(nothing.usable) == std::vector<double>{0, 0});
  CHECK(values(nothing.degenerate) == std::vector<double>{2, 2});
}

TEST_CASE("ssi_loss: threads do not change the bits") {
  const Tensor p = random_tensor({2, 101, 203}), d = random_tensor(p.shape(), {}, 2);
  const Tensor m = drawn_mask(3, p.shape()), box = drawn_mask(4, p.shape());
  for (const SsiOptions& options : variants())
    CHECK(same_bits_with_any_threads([&] {
      return output_and_grads(
          [&](const Inputs& in) { return cutmix_ssi_loss(in[0], d, m, box, options).loss; }, {p});
    }));
}

TEST_CASE("ssi_loss: says what is wrong") {
  CHECK_THROWS_WITH(ssi_loss(full({2, 3, 4}, 1), full({2, 4, 3}, 1), all_of({2, 3, 4})),
                    Catch::Contains("[2, 3, 4] and [2, 4, 3]"));
  CHECK_THROWS_WITH(ssi_loss(full({2, 3}, 1), full({2, 3}, 1), all_of({2, 3})),
                    Catch::Contains("must be [B, H, W]"));
  CHECK_THROWS_WITH(cutmix_ssi_loss(prediction(), target(), mask(), all_of({2, 6})),
                    Catch::Contains("mask must be boolean [2, 6, 7]"));
}

TEST_CASE("ssi_loss: every device agrees with f64 on the CPU") {
  const TensorOptions options = GENERATE(from_range(test_options({DType::f32})));
  const size_t which = GENERATE(range(size_t(0), variants().size()));
  CAPTURE(options, which);
  const auto losses = [&](const Tensor& p, Device device) {
    const Tensor t = target(p.dtype()).to(device), m = mask().to(device), box = inside().to(device);
    const Tensor plain = ssi_loss(p, t, m, variants()[which]).loss;
    return weighted_mean(add(plain, cutmix_ssi_loss(p, t, m, box, variants()[which]).loss),
                         full({2}, 1, plain.options()));
  };
  const auto results = [&](const Tensor& p, Device device) {
    return output_and_grads([&](const Inputs& in) { return losses(in[0], device); }, {p});
  };
  const std::vector<Tensor> exact = results(prediction(), kCpu);
  const std::vector<Tensor> actual =
      results(prediction(DType::f32).to(options.device), options.device);
  // As against autograd above.
  const Tolerance tolerance{.absolute = 200 * epsilon(DType::f32),
                            .relative = 200 * epsilon(DType::f32)};
  CHECK(close(actual[0], values(exact[0]), tolerance));
  CHECK(close(actual[1], values(exact[1]), tolerance));
}

}  // namespace fathom
