#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace fathom {

/// A stream of random numbers: seed and position. The same pair gives the same numbers on every
/// device and with any number of threads.
struct Generator {
  uint64_t seed = 0;
  uint64_t position = 0;  // Philox blocks of four words consumed so far
};

/// Uniform in [low, high), drawn in f32 and rounded to the dtype (f16 and bf16 may round to high);
/// advances the generator.
Tensor uniform(const Shape& shape, Generator& generator, double low = 0, double high = 1,
               TensorOptions options = {});

/// Normal with the given mean and standard deviation; advances the generator.
Tensor normal(const Shape& shape, Generator& generator, double mean = 0, double deviation = 1,
              TensorOptions options = {});

/// Normal, redrawn until within two standard deviations of the mean (as ViTs are initialised).
Tensor truncated_normal(const Shape& shape, Generator& generator, double mean, double deviation,
                        TensorOptions options = {});

}  // namespace fathom
