#pragma once

#include "kernels/step_rules.h"

struct CUstream_st;

namespace fathom::cuda {

/// The launcher behind fathom::decide_step: decide() in one thread.
void decide_step(CUstream_st* stream, const double* losses, int64_t micro_batches,
                 const double* squares, const double* lr_factor, const StepRules& rules,
                 int64_t* counts, double* means, StepDecision* decision);

}  // namespace fathom::cuda
