#include "train/schedule.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

TEST_CASE("schedule: linear and poly, as the published code computes them") {
  const Schedule linear{.steps = 200}, poly{.decay = Decay::poly, .steps = 200};
  for (int step = 0; step < 200; ++step) {
    CHECK(lr_factor(linear, step) == Approx(1 - step / 200.0).epsilon(1e-15));
    CHECK(lr_factor(poly, step) == Approx(std::pow(1 - step / 200.0, 0.9)).epsilon(1e-14));
  }
  CHECK(lr_factor(linear, 0) == 1);
  CHECK(lr_factor(linear, 200) == 0);
  CHECK(lr_factor(linear, 999) == 0);
}

TEST_CASE("schedule: cosine passes one, a half and the least") {
  const Schedule cosine{.decay = Decay::cosine, .steps = 100, .least = 0.2};
  CHECK(lr_factor(cosine, 0) == 1);
  CHECK(lr_factor(cosine, 50) == Approx(0.6).epsilon(1e-15));
  CHECK(lr_factor(cosine, 25) == Approx(0.2 + 0.8 * (1 + std::sqrt(0.5)) / 2).epsilon(1e-15));
  CHECK(lr_factor(cosine, 100) == 0.2);
}

TEST_CASE("schedule: warm-up rises in equal steps and never starts at 0") {
  const Decay decay = GENERATE(Decay::constant, Decay::linear, Decay::poly, Decay::cosine);
  const Schedule s{.decay = decay, .steps = 20, .warmup = 4};
  for (int step = 0; step < 4; ++step) CHECK(lr_factor(s, step) == Approx((step + 1) / 5.0));
  CHECK(lr_factor(s, 4) == 1);
  if (decay == Decay::linear) CHECK(lr_factor(s, 12) == 0.5);
  for (int step = 5; step < 20; ++step) {
    CHECK(lr_factor(s, step) <= lr_factor(s, step - 1));
    CHECK(lr_factor(s, step) > 0);
  }
}

TEST_CASE("schedule: a hold delays the decay") {
  const Schedule s{.decay = Decay::cosine, .steps = 110, .warmup = 10, .hold = 0.7, .least = 1e-4};
  CHECK(lr_factor(s, 79) == 1);
  CHECK(lr_factor(s, 80) == 1);
  CHECK(lr_factor(s, 81) < 1);
  CHECK(lr_factor(s, 95) == Approx((1 + 1e-4) / 2).epsilon(1e-12));
  CHECK(lr_factor({.steps = 10, .hold = 1}, 9) == 1);
}

TEST_CASE("schedule: says what is wrong") {
  CHECK_THROWS_WITH(lr_factor({.steps = 0}, 0), Catch::Contains("steps = 0"));
  CHECK_THROWS_WITH(lr_factor({.steps = 5, .warmup = 6}, 0), Catch::Contains("warmup = 6"));
  CHECK_THROWS_WITH(lr_factor({.steps = 5}, -1), Catch::Contains("step = -1"));
  CHECK_THROWS_WITH(lr_factor({.steps = 5, .least = 2}, 1), Catch::Contains("in [0, 1]"));
}

}  // namespace fathom
