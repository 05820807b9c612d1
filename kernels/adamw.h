#pragma once

#include <span>

#include "core/tensor.h"
#include "kernels/step_rules.h"

namespace fathom {

/// One tensor of weights and its optimiser state. All of one shape, contiguous; grad is read, the
/// others are written. weight, m, v, grad and average share the dtype, f32 or f64.
struct AdamwSlot {
  Tensor grad, weight, m, v;
  Tensor average;    // exponential moving average of the weight; or undefined
  Tensor rounded;    // receives the weight as bf16, for a model that computes in it; or undefined
  double lr = 0;     // of this tensor in this step
  double decay = 0;  // of weights, decoupled
};

struct AdamwStep {
  int64_t step = 1;  // the number of this update, from 1: for the bias corrections
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double grad_scale = 1;  // of every gradient, for instance the clip factor
  double average_decay = 0;
  /// AdamwNumbers as f64 [6] where the weights are, for instance of decide_step(): says instead of
  /// step, grad_scale and average_decay what the step is, by which factor rates are multiplied, and
  /// whether anything is written at all. So a step on a CUDA device needs nothing of the host.
  Tensor numbers = {};
};

/// One step of AdamW for many tensors at once, element by element, in the dtype of the weight
/// (constants are computed in double and rounded to it):
///     g = grad_scale grad
///     m = m + (1 - beta1) (g - m)
///     v = beta2 v + (1 - beta2) g^2
///     w = (1 - lr decay) w - lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)
///     average = average + (1 - average_decay) (w - average)
///     rounded = w
/// with lr times the factor of `numbers` where there are some. A NaN or infinity spreads; look at
/// the norm before. Throws Error if tensors do not fit.
/// Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2, in
/// the arrangement of torch.optim.AdamW.
void adamw(std::span<AdamwSlot> slots, const AdamwStep& step);

/// The numbers of a step whose factor of rates is 1.
AdamwNumbers adamw_numbers(const AdamwStep& step);

/// The sum of the squares of all elements of several tensors, [] f64; NaN or infinite if an element
/// is. f32 or f64. In double, piece after piece: the bits do not depend on the number of threads.
Tensor sum_of_squares(std::span<const Tensor> tensors);

namespace kernels {  // contiguous tensors; outputs last
void adamw(CpuStream, const AdamwStep& step, std::span<AdamwSlot> slots);
void adamw(CudaStream, const AdamwStep& step, std::span<AdamwSlot> slots);
void sum_of_squares(CpuStream, std::span<const Tensor> tensors, Tensor& y);
void sum_of_squares(CudaStream, std::span<const Tensor> tensors, Tensor& y);
}  // namespace kernels
}  // namespace fathom
