#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// What becomes of the elements that the mask hides.
enum class Hidden { kLeftOut, kAsZero };

/// The lower median of the unmasked values of each row: the one of rank (count - 1) / 2, as
/// torch.median picks it. Exact, by radix selection; equal bits in every run.
///
/// x:     [rows, N] float. NaN is above every number, -0 equals 0.
/// mask:  [rows, N], true where a value counts; null when all do.
/// value: [rows]; index: [rows], the first place of that value; count: [rows] of unmasked values.
/// With Hidden::kAsZero all elements count, the hidden ones as 0, and index may be one of them.
/// A row without any has value 0, index -1 and count 0. N < 2^31.
void median_forward(CUstream_st* stream, const float* x, const bool* mask, Hidden hidden,
                    float* value, int32_t* index, int32_t* count, int64_t rows, int64_t N);

}  // namespace fathom::cuda
