#pragma once

#include <cmath>
#include <cstdint>

#include "core/philox.h"

namespace fathom {

// How a training step decides about itself, the same code on the CPU and in a CUDA kernel of one
// thread: plain numbers, so that a step on a device needs nothing of the host.

/// When a value (a loss, a gradient norm) is too far above what came before to be trusted.
struct OutlierOptions {
  double factor = 0;     // an outlier is above factor times the running mean; 0: never
  int64_t after = 100;   // values that must have been seen before one can be an outlier
  double memory = 0.99;  // of the running mean, per value
};

/// What the running mean has seen; all numbers, so that a checkpoint can hold them.
struct RunningMean {
  double sum = 0, weight = 0, count = 0;
};

/// Whether the value is an outlier; the mean learns it either way, an outlier as factor times the
/// mean, so that a lasting change is accepted in time. value must be finite.
FATHOM_HOST_DEVICE inline bool is_outlier(const OutlierOptions& options, double value,
                                          RunningMean& mean) {
  if (options.factor <= 0) return false;
  const double limit = mean.weight > 0 ? options.factor * mean.sum / mean.weight : value;
  const bool outlier = mean.count >= double(options.after) && value > limit;
  mean.sum = options.memory * mean.sum + (outlier ? limit : value);
  mean.weight = options.memory * mean.weight + 1;
  mean.count += 1;
  return outlier;
}

/// What an update by AdamW wants to know of its step.
struct AdamwNumbers {
  double taken = 1;         // 0: nothing is written
  double lr_factor = 1;     // of every tensor's rate
  double grad_scale = 1;    // of every gradient: the clip factor over the number of micro-batches
  double bias = 1;          // 1 - beta1^step
  double root = 1;          // sqrt(1 - beta2^step)
  double average_rate = 1;  // of the moving average: 1 - its decay
};

FATHOM_HOST_DEVICE inline AdamwNumbers adamw_numbers(double step, double beta1, double beta2,
                                                     double lr_factor, double grad_scale,
                                                     double average_decay) {
  return {1,
          lr_factor,
          grad_scale,
          1 - std::pow(beta1, step),
          std::sqrt(1 - std::pow(beta2, step)),
          1 - average_decay};
}

enum class StepOutcome {
  taken,
  non_finite_loss,
  non_finite_gradient,
  loss_outlier,
  gradient_outlier,
};

struct StepRules {
  double beta1 = 0.9, beta2 = 0.999;
  double clip_norm = 0;  // the norm of all gradients together is brought below it; 0: off
  /// Of the moving average: min(average_decay, (1 + t) / (10 + t)) at step t = 1, 2, ...
  double average_decay = 0;
  OutlierOptions loss_outlier = {}, gradient_outlier = {};
};

/// What a step has decided, in doubles only: a tensor of f64 holds it.
struct StepDecision {
  double outcome = 0;        // a StepOutcome
  double loss = 0;           // mean of the micro-batches
  double gradient_norm = 0;  // of their mean gradient, before clipping; 0 after a bad loss
  double clip_factor = 1;
  AdamwNumbers update = {};
};

/// Steps so far: taken, clipped, then those of the outcomes after `taken`.
constexpr int kStepCounts = 6;
/// The running means of losses and of gradient norms, of three numbers each.
constexpr int kStepMeans = 6;

/// losses [micro_batches]; squares: the sum of the squares of the summed gradient. counts and means
/// are brought up to date.
FATHOM_HOST_DEVICE inline StepDecision decide(const StepRules& rules, const double* losses,
                                              int64_t micro_batches, double squares,
                                              double lr_factor, int64_t* counts, double* means) {
  const auto is_finite = [](double x) { return x - x == 0; };
  const auto learns = [means](const OutlierOptions& options, double value, int which) {
    RunningMean mean{means[3 * which], means[3 * which + 1], means[3 * which + 2]};
    const bool outlier = is_outlier(options, value, mean);
    means[3 * which] = mean.sum, means[3 * which + 1] = mean.weight;
    means[3 * which + 2] = mean.count;
    return outlier;
  };
  StepDecision d;
  for (int64_t i = 0; i < micro_batches; ++i) d.loss += losses[i] / double(micro_batches);
  StepOutcome outcome = StepOutcome::taken;
  if (!is_finite(d.loss)) {
    outcome = StepOutcome::non_finite_loss;
  } else {
    d.gradient_norm = std::sqrt(squares) / double(micro_batches);
    if (!is_finite(d.gradient_norm))
      outcome = StepOutcome::non_finite_gradient;
    else if (learns(rules.loss_outlier, d.loss, 0))
      outcome = StepOutcome::loss_outlier;
    else if (learns(rules.gradient_outlier, d.gradient_norm, 1))
      outcome = StepOutcome::gradient_outlier;
  }
  d.outcome = double(outcome);
  d.update.taken = outcome == StepOutcome::taken ? 1 : 0;
  if (outcome != StepOutcome::taken) {
    ++counts[1 + int(outcome)];
    return d;
  }
  const double step = double(++counts[0]);
  if (rules.clip_norm > 0)
    d.clip_factor = std::fmin(1.0, rules.clip_norm / (d.gradient_norm + 1e-6));
  if (d.clip_factor < 1) ++counts[1];
  d.update = adamw_numbers(step, rules.beta1, rules.beta2, lr_factor,
                           d.clip_factor / double(micro_batches),
                           std::fmin(rules.average_decay, (1 + step) / (10 + step)));
  return d;
}

}  // namespace fathom
