#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// The constants of SilogOptions, kernels/silog.h.
struct Silog {
  double factor, weight, eps;
  bool unbiased;
  int64_t least_count;
};

/// The launchers behind fathom::silog.
///
/// prediction, target, dprediction: [B, N]; mask: [B, N]; count: [B]; mean: [B] double;
/// loss, dloss: [B]. workspace: [silog_workspace(B, N)] double.
void silog_forward(CUstream_st* stream, const float* prediction, const float* target,
                   const bool* mask, const int32_t* count, const Silog& options, double* mean,
                   float* loss, double* workspace, int64_t B, int64_t N);
void silog_backward(CUstream_st* stream, const float* prediction, const float* target,
                    const bool* mask, const int32_t* count, const Silog& options,
                    const double* mean, const float* loss, const float* dloss, float* dprediction,
                    int64_t B, int64_t N);
int64_t silog_workspace(int64_t B, int64_t N);

}  // namespace fathom::cuda
