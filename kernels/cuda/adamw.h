#pragma once

#include <cstdint>
#include <span>

#include "core/dtype.h"

struct CUstream_st;

namespace fathom::cuda {

/// One tensor of weights and its state; average and rounded may be null. keep = 1 - lr * decay,
/// rate = lr / (1 - beta1^step).
struct AdamwTensor {
  const float* grad;
  float *weight, *m, *v, *average;
  bfloat16* rounded;
  int64_t numel;
  float keep, rate;
};

/// What all tensors share: root = sqrt(1 - beta2^step), average_rate = 1 - average_decay.
struct AdamwConstants {
  float grad_scale, m_rate, v_keep, v_rate, root, eps, average_rate;
};

/// The launcher behind fathom::adamw: a launch for every 32 tensors, none waits for the host.
void adamw(CUstream_st* stream, const AdamwConstants& constants,
           std::span<const AdamwTensor> tensors);

/// The sum of the squares of all elements of several arrays, in double and always in the same
/// order.
struct FloatArray {
  const float* data;
  int64_t numel;
};
/// workspace: [sum_of_squares_workspace(arrays)] double; y: [1].
void sum_of_squares(CUstream_st* stream, std::span<const FloatArray> arrays, double* workspace,
                    double* y);
int64_t sum_of_squares_workspace(std::span<const FloatArray> arrays);

}  // namespace fathom::cuda
