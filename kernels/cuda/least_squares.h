#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// LeastSquares of kernels/least_squares.h on the device: [B] each.
struct Fit {
  double *scale, *shift, *mean, *squares;
  const int32_t* count;
};

/// The launchers behind fathom::least_squares and align_least_squares.
///
/// x, target, y, dy, dx: [B, N]; mask: [B, N]. workspace: [least_squares_workspace(B, N)] double.
void least_squares(CUstream_st* stream, const float* x, const float* target, const bool* mask,
                   const Fit& fit, double* workspace, int64_t B, int64_t N);
void align_least_squares_forward(CUstream_st* stream, const float* x, const bool* mask,
                                 const Fit& fit, float* y, int64_t B, int64_t N);
void align_least_squares_backward(CUstream_st* stream, const float* x, const float* target,
                                  const bool* mask, const Fit& fit, const float* dy, float* dx,
                                  double* workspace, int64_t B, int64_t N);
int64_t least_squares_workspace(int64_t B, int64_t N);

}  // namespace fathom::cuda
