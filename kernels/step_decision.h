#pragma once

#include "core/tensor.h"
#include "kernels/step_rules.h"

namespace fathom {

/// Decides about a training step where its gradients are, without waiting for them: is it taken, by
/// how much are gradients clipped, what does AdamW need (AdamwStep::numbers). A loss or norm that
/// is not finite, or an outlier, is not taken; then adamw() writes nothing.
///
/// losses:    [n] f64, of the micro-batches whose gradients were summed.
/// squares:   [] f64, sum_of_squares() of the summed gradients.
/// lr_factor: [] f64, of the rates in this step.
/// counts:    [kStepCounts] i64, means: [kStepMeans] f64: of the steps so far; brought up to date.
/// Returns a StepDecision as f64 [kDecisionSize]. All on one device. Throws Error on other shapes.
Tensor decide_step(const Tensor& losses, const Tensor& squares, const Tensor& lr_factor,
                   const StepRules& rules, Tensor& counts, Tensor& means);

constexpr int64_t kAdamwSize = sizeof(AdamwNumbers) / sizeof(double);
constexpr int64_t kDecisionSize = sizeof(StepDecision) / sizeof(double);

namespace kernels {  // outputs last
void decide_step(CpuStream, const Tensor& losses, const Tensor& squares, const Tensor& lr_factor,
                 const StepRules& rules, Tensor& counts, Tensor& means, Tensor& decision);
void decide_step(CudaStream, const Tensor& losses, const Tensor& squares, const Tensor& lr_factor,
                 const StepRules& rules, Tensor& counts, Tensor& means, Tensor& decision);
}  // namespace kernels
}  // namespace fathom
