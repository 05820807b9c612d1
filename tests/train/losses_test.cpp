#include "train/losses.h"

#include <cmath>

#include "kernels/masks.h"
#include "tests/kernels/drawn.h"
#include "tests/kernels/loss_values.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

namespace {

const Shape kMap{2, 6, 7};
Tensor prediction() { return drawn(1, kMap, 0.25); }
Tensor target() { return drawn(2, kMap, 0.25); }
Tensor mask() { return drawn_mask(3, kMap); }

double entry(const LossReport::Entries& entries, const std::string& name) {
  for (const auto& [key, value] : entries)
    if (key == name) return value.item();
  FAIL("no entry " << name);
  return 0;
}

double average(const std::vector<double>& v) { return (v[0] + v[1]) / 2; }

}  // namespace

TEST_CASE("losses: the recipes are those of the papers") {
  LossReport report;
  const auto loss = [&](const DepthLossOptions& options) {
    return depth_loss(prediction(), target(), mask(), options, "labeled", report).item();
  };
  CHECK(loss(kDepthLossV1) == Approx(average(torch_values::kSsi)).epsilon(1e-13));
  CHECK(loss(kDepthLossV2) == Approx(average(torch_values::kSsiMatched)).epsilon(1e-13));
  CHECK(loss(kDepthLossV2Pseudo) == Approx(average(torch_values::kSsiQuantile)).epsilon(1e-13));
  CHECK(loss(kDepthLossMidas) == Approx(average(torch_values::kSsiSmallest)).epsilon(1e-13));
}

TEST_CASE("losses: the report holds the parts, off the tape") {
  LossReport report;
  const Tensor leaf = prediction().set_requires_grad();
  const Tensor loss = depth_loss(leaf, target(), mask(), kDepthLossV2, "labeled", report);
  CHECK(loss.requires_grad());
  const double error = entry(report.values, "labeled.ssi");
  const double gradients = entry(report.values, "labeled.gradients");
  CHECK(error == Approx(average(torch_values::kSsi)).epsilon(1e-13));
  CHECK(loss.item() == Approx(error + 2 * gradients).epsilon(1e-14));
  CHECK(entry(report.counts, "labeled.degenerate") == 0);
  for (const auto& [name, value] : report.values) CHECK_FALSE(value.requires_grad());
}

TEST_CASE("losses: degenerate images are left out of the mean and counted") {
  // The second image has no valid pixel.
  const Tensor first_only = mask_images(mask(), from_values({2}, {1, 0}));
  LossReport report;
  const Tensor loss =
      depth_loss(prediction(), target(), first_only, kDepthLossV1, "labeled", report);
  CHECK(loss.item() == Approx(torch_values::kSsi[0]).epsilon(1e-13));
  CHECK(entry(report.counts, "labeled.degenerate") == 1);
  // No image at all: 0, and a gradient of 0.
  Tensor leaf = prediction().set_requires_grad();
  LossReport empty_report;
  const Tensor nothing =
      depth_loss(leaf, target(), none_of(kMap), kDepthLossV2Pseudo, "labeled", empty_report);
  CHECK(nothing.item() == 0);
  backward(nothing);
  CHECK(values(leaf.grad()) == std::vector<double>(84, 0.0));
  CHECK(entry(empty_report.counts, "labeled.degenerate") == 2);
}

TEST_CASE("losses: the mean over pixels weighs images by what is valid in them") {
  LossReport report;
  const double loss =
      depth_loss(prediction(), target(), mask(), {.mean = BatchMean::pixels}, "x", report).item();
  const std::vector<double> n = values(mask_count(mask()));
  const std::vector<double>& of = torch_values::kSsi;
  CHECK(n[0] != n[1]);
  CHECK(loss == Approx((n[0] * of[0] + n[1] * of[1]) / (n[0] + n[1])).epsilon(1e-13));
}

TEST_CASE("losses: CutMix with empty regions in the report") {
  LossReport report;
  const Tensor mixed = cutmix_depth_loss(prediction(), target(), mask(), none_of(kMap),
                                         kDepthLossV1, "unlabeled", report);
  CHECK(mixed.item() == Approx(average(torch_values::kSsi)).epsilon(1e-13));
  CHECK(entry(report.counts, "unlabeled.degenerate") == 0);
  // The left column is the other picture, and has fewer than ten pixels.
  std::vector<double> column(84);
  for (size_t i = 0; i < 84; i += 7) column[i] = 1;
  LossReport split;
  cutmix_depth_loss(prediction(), target(), mask(), from_values(kMap, column, {DType::boolean}),
                    kDepthLossV1, "unlabeled", split);
  CHECK(entry(split.counts, "unlabeled.degenerate") == 2);
  CHECK(entry(split.values, "unlabeled.ssi") > 0);
}

TEST_CASE("losses: gradients match central differences") {
  for (const DepthLossOptions& options : {kDepthLossV1, kDepthLossV2, kDepthLossV2Pseudo}) {
    LossReport report;
    CHECK(gradcheck(
        [&](const Inputs& in) { return depth_loss(in[0], target(), mask(), options, "x", report); },
        {prediction()}, 1e-5));
  }
}

TEST_CASE("losses: features, by image and by token") {
  // One image whose tokens are all aligned, one that is orthogonal in one of two tokens.
  const Tensor f = from_values({2, 1, 2, 2}, {1, 0, 0, 1, 1, 0, 0, 1}, {DType::f64});
  const Tensor g = from_values({2, 1, 2, 2}, {1, 0, 0, 1, 0, 1, 0, 1}, {DType::f64});
  LossReport report;
  CHECK(feature_loss(f, g, {}, report).item() == 0.5);
  CHECK(feature_loss(f, g, {.mean_of_tokens = true}, report).item() == 1);
  CHECK(entry(report.counts, "features.kept") == 1);
  CHECK(entry(report.values, "features") == 0.5);
  LossReport none;
  CHECK(feature_loss(f, f, {.mean_of_tokens = true}, none).item() == 0);
}

TEST_CASE("losses: metric, the batch as one or by image") {
  LossReport report;
  const auto loss = [&](const MetricLossOptions& options, const Tensor& m) {
    return metric_loss(prediction(), target(), m, options, report).item();
  };
  CHECK(loss({.whole_batch = false}, mask()) ==
        Approx(average(torch_values::kSilogV2)).epsilon(1e-13));
  CHECK(loss({.silog = kSilogZoe, .whole_batch = false}, mask()) ==
        Approx(average(torch_values::kSilogZoe)).epsilon(1e-13));
  double n = 0, sum = 0, squares = 0;
  const std::vector<double> p = values(prediction()), t = values(target()), m = values(mask());
  for (size_t i = 0; i < p.size(); ++i)
    if (m[i] != 0) {
      const double g = std::log(t[i]) - std::log(p[i]);
      n += 1, sum += g, squares += g * g;
    }
  CHECK(loss({}, mask()) ==
        Approx(std::sqrt(squares / n - 0.5 * sum / n * sum / n)).epsilon(1e-13));
  // One image without pixels: the other one alone.
  LossReport half;
  const Tensor first_only = mask_images(mask(), from_values({2}, {1, 0}));
  CHECK(metric_loss(prediction(), target(), first_only, {.whole_batch = false}, half).item() ==
        Approx(torch_values::kSilogV2[0]).epsilon(1e-13));
  CHECK(entry(half.counts, "metric.degenerate") == 1);
}

TEST_CASE("losses: the average leaves out what is absent") {
  const Tensor a = full({}, 1), b = full({}, 5);
  CHECK(weighted_average({{a, 1}, {{}, 1}, {b, 1}}).item() == 3);
  CHECK(weighted_average({{a, 1}, {b, 3}}).item() == 4);
  CHECK(weighted_average({{a, 0}, {b, 2}}).item() == 5);
  CHECK_THROWS_WITH(weighted_average({{{}, 1}, {a, 0}}), Catch::Contains("no loss"));
}

}  // namespace fathom
