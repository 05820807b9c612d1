#pragma once

#include <cstdint>

#include "core/random.h"

namespace fathom::kernels {

#ifdef FATHOM_CUDA
/// The numbers of core/random.h on the current CUDA device: n floats at `data` (device memory) from
/// the generator's position on, in the order and with the bits of the CPU. Queued on `stream` (a
/// cudaStream_t); the caller moves the generator on by ceil(n / 4).
/// Throws Error when the launch fails, with cuda_unavailable_reason() if that is why.
void fill_uniform_cuda(void* stream, const Generator& generator, float low, float high, float* data,
                       int64_t n);
void fill_normal_cuda(void* stream, const Generator& generator, float mean, float deviation,
                      float* data, int64_t n);
#endif

}  // namespace fathom::kernels
