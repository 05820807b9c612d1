#pragma once

#include <cstdint>
#include <span>

#include "core/dtype.h"
#include "kernels/step_rules.h"

struct CUstream_st;

namespace fathom::cuda {

/// One tensor of weights and its state; average and rounded may be null.
struct AdamwTensor {
  const float* grad;
  float *weight, *m, *v, *average;
  bfloat16* rounded;
  int64_t numel;
  float lr, decay;
};

/// What all tensors and steps share: 1 - beta1, beta2, 1 - beta2, eps.
struct AdamwConstants {
  float m_rate, v_keep, v_rate, eps;
};

/// The launcher behind fathom::adamw: a launch for every 32 tensors, none waits for the host.
/// on_device: the step's numbers where only the device knows them, instead of the given ones; may
/// be null.
void adamw(CUstream_st* stream, const AdamwConstants& constants, const AdamwNumbers& given,
           const AdamwNumbers* on_device, std::span<const AdamwTensor> tensors);

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
