#include "train/schedule.h"

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace fathom {

double lr_factor(const Schedule& s, int64_t step) {
  check(s.steps >= 1 && s.warmup >= 0 && s.warmup <= s.steps && step >= 0,
        "lr_factor: expected 0 <= warmup <= steps, steps >= 1 and step >= 0, but steps = ", s.steps,
        ", warmup = ", s.warmup, ", step = ", step);
  check(s.hold >= 0 && s.hold <= 1 && s.least >= 0 && s.least <= 1,
        "lr_factor: hold and least must be in [0, 1], but are ", s.hold, " and ", s.least);
  if (step < s.warmup) return double(step + 1) / double(s.warmup + 1);
  if (s.decay == Decay::constant) return 1;
  if (step >= s.steps) return s.least;
  const double held = s.hold * double(s.steps - s.warmup);
  const double passed = double(step - s.warmup) - held, all = double(s.steps - s.warmup) - held;
  if (passed <= 0) return 1;
  const double left = 1 - passed / all;
  const auto above_least = [&](double share) { return s.least + (1 - s.least) * share; };
  switch (s.decay) {
    case Decay::constant: return 1;
    case Decay::linear: return above_least(left);
    case Decay::poly: return above_least(std::pow(left, s.power));
    case Decay::cosine: return above_least((1 + std::cos(std::numbers::pi * (1 - left))) / 2);
  }
  fail("lr_factor: unknown decay ", int(s.decay));
}

}  // namespace fathom
