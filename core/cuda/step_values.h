#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// The numbers of a training step that change from step to step, as kernels see them.
struct StepValues {
  int64_t step = 0;           // counts from 1 while a step runs
  float learning_rate = 0;    // written by the host before the step
  float loss = 0;             // written by the step
  float gradient_norm = 0;    // of the gradients together, before clipping
  float clip_factor = 1;      // what the update multiplies them with
  int32_t skipped_steps = 0;  // whose loss or gradient was not finite
};

/// values->step += 1.
void advance_step(CUstream_st* stream, StepValues* values);

}  // namespace fathom::cuda
