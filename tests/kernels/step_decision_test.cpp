#include "kernels/step_decision.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/adamw.h"
#include "tests/testing.h"

namespace fathom {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr StepRules kRules{.beta1 = 0.8,
                           .beta2 = 0.95,
                           .clip_norm = 2,
                           .average_decay = 0.5,
                           .loss_outlier = {.factor = 4, .after = 2},
                           .gradient_outlier = {.factor = 4, .after = 2}};

struct Case {
  std::vector<double> losses;
  double squares;
  StepOutcome outcome;
};

// Two micro-batches each: norms are half of the root, losses the mean.
const Case kCases[] = {{{1, 3}, 9, StepOutcome::taken},
                       {{1, 3}, 100, StepOutcome::taken},  // clipped, 5 to 2
                       {{kNan, 1}, 9, StepOutcome::non_finite_loss},
                       {{1, 1}, kNan, StepOutcome::non_finite_gradient},
                       {{1, INFINITY}, kNan, StepOutcome::non_finite_loss},
                       {{20, 30}, 9, StepOutcome::loss_outlier},
                       {{2, 2}, 1e6, StepOutcome::gradient_outlier},
                       {{2, 2}, 9, StepOutcome::taken}};

}  // namespace

TEST_CASE("step decision: outcomes, clipping, counts and what an update needs, on every device") {
  const TensorOptions on = GENERATE(from_range(test_options({DType::f32})));
  const TensorOptions f64{DType::f64, on.device};
  CAPTURE(on.device);
  Tensor counts = zeros({kStepCounts}, {DType::i64, on.device}), means = zeros({kStepMeans}, f64);
  const Tensor lr_factor = full({}, 0.25, f64);
  double taken = 0;
  for (const Case& c : kCases) {
    CAPTURE(c.losses, c.squares);
    const std::vector<double> d =
        values(decide_step(from_values({2}, c.losses, f64), from_values({}, {c.squares}, f64),
                           lr_factor, kRules, counts, means));
    REQUIRE(int64_t(d.size()) == kDecisionSize);
    CHECK(d[0] == double(c.outcome));
    CHECK(d[4] == (c.outcome == StepOutcome::taken));
    if (c.outcome == StepOutcome::non_finite_loss) {
      CHECK(d[2] == 0);
      continue;
    }
    CHECK(d[1] == (c.losses[0] + c.losses[1]) / 2);
    if (c.outcome == StepOutcome::non_finite_gradient) continue;
    const double norm = std::sqrt(c.squares) / 2;
    CHECK(d[2] == norm);
    if (c.outcome != StepOutcome::taken) continue;
    ++taken;
    const double clip = std::min(1.0, 2 / (norm + 1e-6));
    const std::vector<double> update{1,
                                     0.25,
                                     clip / 2,
                                     1 - std::pow(0.8, taken),
                                     std::sqrt(1 - std::pow(0.95, taken)),
                                     1 - std::min(0.5, (1 + taken) / (10 + taken))};
    CHECK(d[3] == clip);
    for (size_t i = 0; i < update.size(); ++i)  // powers may round differently
      CHECK(d[4 + i] == Approx(update[i]).epsilon(8 * epsilon(DType::f64)));
  }
  CHECK(values(counts) == std::vector<double>{3, 1, 2, 1, 1, 1});
  CHECK(values(means)[2] == 5);  // the finite losses of finite gradients
  CHECK(values(means)[5] == 4);
}

TEST_CASE("step decision: adamw obeys the numbers, on every device") {
  const TensorOptions on = GENERATE(from_range(test_options({DType::f32})));
  CAPTURE(on.device);
  const auto slot = [&] {
    return std::vector<AdamwSlot>{{.grad = random_tensor({3, 67}, on),
                                   .weight = random_tensor({3, 67}, on, 2),
                                   .m = zeros({3, 67}, on),
                                   .v = full({3, 67}, 0.5, on),
                                   .average = {},
                                   .rounded = {},
                                   .lr = 0.5,
                                   .decay = 0.25}};
  };
  const auto numbers = [&](AdamwNumbers n) {
    return from_values({kAdamwSize},
                       {n.taken, n.lr_factor, n.grad_scale, n.bias, n.root, n.average_rate},
                       {DType::f64, on.device});
  };
  auto given = slot(), told = slot(), left = slot();
  for (AdamwSlot& s : given) s.lr *= 0.25;
  const AdamwStep step{.step = 3, .beta1 = 0.75, .beta2 = 0.5, .eps = 0.125, .grad_scale = 0.5};
  adamw(given, step);
  AdamwNumbers n = adamw_numbers(step);
  n.lr_factor = 0.25;
  AdamwStep by_numbers{.beta1 = 0.75, .beta2 = 0.5, .eps = 0.125, .numbers = numbers(n)};
  adamw(told, by_numbers);
  CHECK(same_bits(told[0].weight, given[0].weight));  // a factor that is a power of two
  CHECK(same_bits(told[0].m, given[0].m));
  n.taken = 0;
  by_numbers.numbers = numbers(n);
  adamw(left, by_numbers);
  CHECK(same_bits(left[0].weight, slot()[0].weight));
  CHECK(same_bits(left[0].v, slot()[0].v));
}

TEST_CASE("step decision: says what is wrong") {
  Tensor counts = zeros({kStepCounts}, {DType::i64}), means = zeros({kStepMeans}, {DType::f64});
  const Tensor one = full({}, 1, {DType::f64}), losses = full({2}, 1, {DType::f64});
  CHECK_THROWS_WITH(decide_step(losses.to(DType::f32), one, one, {}, counts, means),
                    Catch::Contains("losses must be f64 [n]"));
  CHECK_THROWS_WITH(decide_step(losses, one, one.to(DType::f32), {}, counts, means),
                    Catch::Contains("inputs must share dtype"));
  CHECK_THROWS_WITH(decide_step(losses, one, one, {}, means, means), Catch::Contains("counts i64"));
  std::vector<AdamwSlot> slots(1);
  slots[0].grad = slots[0].weight = slots[0].m = slots[0].v = zeros({2});
  CHECK_THROWS_WITH(adamw(slots, {.numbers = losses}),
                    Catch::Contains("numbers of a step must be"));
}

}  // namespace fathom
