#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// The f32 numbers of core/random.h, in the same order and with the same bits as on the CPU.
///
/// seed, position: of the Generator, which the caller moves on by ceil(N / 4).
/// x: [N], N < 2^40.
void fill_uniform(CUstream_st* stream, uint64_t seed, uint64_t position, float low, float high,
                  float* x, int64_t N);
void fill_normal(CUstream_st* stream, uint64_t seed, uint64_t position, float mean, float deviation,
                 float* x, int64_t N);

}  // namespace fathom::cuda
