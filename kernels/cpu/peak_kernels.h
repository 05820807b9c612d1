#pragma once

#include <cstdint>

#include "kernels/cpu/isa.h"

namespace fathom::cpu {

/// The multiply-add peak of an instruction set, for benchmarks that report fractions of it.
struct PeakKernels {
  int64_t flops;  // floating point operations of one step
  /// Independent f32 multiply-adds in registers; returns their sum.
  float (*multiply_add)(int64_t steps);
  /// The same with pairs of bf16 summed in f32, twice the operations a step where the set has such
  /// an instruction; null where bf16 is computed as f32.
  float (*multiply_add_bf16)(int64_t steps);
};
FATHOM_ISA_TABLES(PeakKernels, peak_kernels)

}  // namespace fathom::cpu
