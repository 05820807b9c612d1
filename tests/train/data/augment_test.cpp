#include "train/data/augment.h"

#include <cmath>

#include "models/preprocess.h"
#include "tests/testing.h"

namespace fathom {

static SampleId id(int64_t sample) { return {11, 2, sample}; }

TEST_CASE("augment: windows follow the lower bound rule and lie everywhere") {
  int flips = 0;
  int64_t most_left = 1000, most_right = 0;
  for (int64_t i = 0; i < 400; ++i) {
    const CropWindow window = draw_window({480, 640}, 518, {}, id(i));
    CHECK(window.full == ImageSize{518, 686});
    CHECK(window.top == 0);
    CHECK(window.height == 518);
    CHECK(window.width == 518);
    most_left = std::min(most_left, window.left);
    most_right = std::max(most_right, window.left);
    flips += window.flip;
  }
  // 169 offsets, both ends included: all of the lowest or highest 5 missed by 400 draws has a
  // probability of (164 / 169)^400 = 6e-6. Flips: 200, standard deviation 10.
  CHECK(most_left < 5);
  CHECK(most_right > 163);
  CHECK(most_right <= 168);
  CHECK(std::abs(flips - 200) < 50);
}

TEST_CASE("augment: draws depend on seed, epoch and sample, and on nothing else") {
  const AugmentSection augment;
  const auto same = [&](const SampleId& a, const SampleId& b) {
    const Perturbation x = draw_perturbation(augment, a), y = draw_perturbation(augment, b);
    return x.brightness == y.brightness && x.hue == y.hue && x.order == y.order;
  };
  CHECK(same({1, 2, 3}, {1, 2, 3}));
  CHECK(!same({1, 2, 3}, {2, 2, 3}));
  CHECK(!same({1, 2, 3}, {1, 3, 3}));
  CHECK(!same({1, 2, 3}, {1, 2, 4}));
  CHECK(!same({1, 2, 3}, {1, 2, 3 + (int64_t(1) << 32)}));
  AugmentSection other = augment;  // what one choice is does not move the next
  other.flip = 1;
  other.jitter = 0;
  CHECK(draw_perturbation(other, id(1)).hue == draw_perturbation(augment, id(1)).hue);
}

TEST_CASE("augment: perturbations have torchvision's ranges and probabilities") {
  int jitters = 0, blurs = 0, hue_first = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    const Perturbation p = draw_perturbation({}, id(i));
    for (const float factor : {p.brightness, p.contrast, p.saturation}) {
      CHECK(factor >= 0.5f);
      CHECK(factor < 1.5f);
    }
    CHECK(std::abs(p.hue) <= 0.25f);
    CHECK((p.blur_sigma == 0 || (p.blur_sigma >= 0.1f && p.blur_sigma < 2)));
    CHECK(!p.grey);
    jitters += p.jitter;
    blurs += p.blur_sigma > 0;
    hue_first += p.order[0] == 3;
  }
  // Standard deviations of 13, 16 and 14; five of them are allowed.
  CHECK(std::abs(jitters - 800) < 65);
  CHECK(std::abs(blurs - 500) < 80);
  CHECK(std::abs(hue_first - 250) < 70);
}

TEST_CASE("augment: without probability nothing changes, and the order of the jitter counts") {
  const std::vector<float> pixels = {0.1f, 0.5f, 0.9f, 0.7f, 0.3f, 0.2f};
  std::vector<float> same = pixels, one = pixels, two = pixels;
  perturb({}, same, 1, 2);
  CHECK(same == pixels);
  Perturbation p{
      .jitter = true, .brightness = 1.4f, .contrast = 0.6f, .saturation = 1.3f, .hue = 0.1f};
  perturb(p, one, 1, 2);
  p.order = {3, 2, 1, 0};
  perturb(p, two, 1, 2);
  CHECK(one != two);
  std::vector<float> wild = {-0.2f, 1.3f, 0.5f};
  perturb({}, wild, 1, 1);
  CHECK(wild == std::vector<float>{0, 1, 0.5f});
}

TEST_CASE("augment: normalisation is ImageNet's") {
  std::vector<float> pixel = {0, 0.5f, 1};
  normalize(pixel);
  for (size_t c = 0; c < 3; ++c) {
    const double expected = (0.5 * double(c) - kImageNet.mean[c]) / kImageNet.deviation[c];
    CHECK(std::abs(pixel[c] - expected) < 1e-6);  // three roundings of values up to 4.5
  }
}

}  // namespace fathom
