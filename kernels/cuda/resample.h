#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// AxisTaps of kernels/resample.h on the device: output i is the sum over
/// begin[i] <= k < begin[i + 1] of weight[k] * input[index[k]].
struct DeviceTaps {
  const int32_t *begin, *index;
  const float* weight;
};

/// x: [B, H, W, C] of T: float, float16 or bfloat16; y: [B, height, width, C] of T. For any taps,
/// not for speed: the tables are read for every vector of C.
template <class T>
void resample(CUstream_st* stream, const T* x, const DeviceTaps& rows, const DeviceTaps& columns,
              T* y, int64_t B, int64_t H, int64_t W, int64_t C, int64_t height, int64_t width);

}  // namespace fathom::cuda
