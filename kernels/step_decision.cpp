#include "kernels/step_decision.h"

#include <cstring>

namespace fathom {

Tensor decide_step(const Tensor& losses, const Tensor& squares, const Tensor& lr_factor,
                   const StepRules& rules, Tensor& counts, Tensor& means) {
  check(
      losses.rank() == 1 && squares.numel() == 1 && lr_factor.numel() == 1 &&
          counts.shape() == Shape{kStepCounts} && counts.dtype() == DType::i64 &&
          counts.device() == losses.device() && means.shape() == Shape{kStepMeans} &&
          losses.dtype() == DType::f64,
      "decide_step: losses must be f64 [n], squares and the rate's factor one number, counts i64 ",
      Shape{kStepCounts}, " and means ", Shape{kStepMeans}, ", but are ", losses.dtype(), " ",
      losses.shape(), ", ", squares.shape(), ", ", lr_factor.shape(), ", ", counts.dtype(), " ",
      counts.shape(), " and ", means.shape());
  check_same_type("decide_step", losses, squares, lr_factor, means);
  const Tensor contiguous = losses.detach().contiguous();
  Tensor decision = empty({kDecisionSize}, losses.options());
  visit_stream(losses.device(), [&](auto stream) {
    kernels::decide_step(stream, contiguous, squares, lr_factor, rules, counts, means, decision);
  });
  return decision;
}

// ---- CPU

void kernels::decide_step(CpuStream, const Tensor& losses, const Tensor& squares,
                          const Tensor& lr_factor, const StepRules& rules, Tensor& counts,
                          Tensor& means, Tensor& decision) {
  const StepDecision decided =
      decide(rules, losses.data<double>(), losses.numel(), *squares.data<double>(),
             *lr_factor.data<double>(), counts.data<int64_t>(), means.data<double>());
  std::memcpy(decision.data<double>(), &decided, sizeof decided);
}

}  // namespace fathom
