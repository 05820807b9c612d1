#pragma once

#include <cstdint>

#include "kernels/cuda/median.h"

struct CUstream_st;

// The launchers behind the ops on masked maps: kernels/masks.h, masked_statistics.h,
// normalize_affine.h, masked_error.h, trim_mask.h and gradient_matching.h, with their definitions.
// Maps are [B, N] float, masks [B, N]; sums in double, equal bits in every run.
namespace fathom::cuda {

/// Doubles of workspace that every function below needs that takes one.
int64_t masked_workspace(int64_t B, int64_t N);

enum class MaskPair { kAnd, kAndNot };
/// y[i] = a[i] and b[i], or a[i] and not b[i], over N elements.
void mask_pair(CUstream_st* stream, MaskPair pair, const bool* a, const bool* b, bool* y,
               int64_t N);
/// y = mask in the images whose keep is not 0, false in the others. keep: [B].
void mask_images(CUstream_st* stream, const bool* mask, const float* keep, bool* y, int64_t B,
                 int64_t N);
/// True elements of each image, and their share; either may be null.
void mask_count(CUstream_st* stream, const bool* mask, int32_t* count, float* fraction,
                double* workspace, int64_t B, int64_t N);

void masked_statistics(CUstream_st* stream, const float* x, const bool* mask, Hidden hidden,
                       float* median, float* deviation, int32_t* index, int32_t* count,
                       double* workspace, int64_t B, int64_t N);
void usable_images(CUstream_st* stream, const float* deviation, const int32_t* count,
                   int64_t least_count, double least_scale, float* usable, int64_t B);

void normalize_affine_forward(CUstream_st* stream, const float* x, const bool* mask,
                              const float* median, const float* deviation, float* y, int64_t B,
                              int64_t N);
void normalize_affine_backward(CUstream_st* stream, const float* y, const bool* mask,
                               const float* deviation, const int32_t* index, const int32_t* count,
                               const float* dy, float* dx, double* workspace, int64_t B, int64_t N);

enum class ErrorNorm { kAbsolute, kSquared };
void masked_error_forward(CUstream_st* stream, const float* r, const bool* mask,
                          const int32_t* count, ErrorNorm error, float* loss, double* workspace,
                          int64_t B, int64_t N);
void masked_error_backward(CUstream_st* stream, const float* r, const bool* mask,
                           const int32_t* count, ErrorNorm error, const float* dloss, float* dr,
                           int64_t B, int64_t N);

enum class Trim { kBelowQuantile, kSmallest };
void trim_mask(CUstream_st* stream, const float* r, const bool* mask, Trim rule, double trim,
               bool* kept, int64_t B, int64_t N);

/// r: [B, H, W]; divisors: [B, levels], of the level's valid pixels or of the image's.
enum class Divisor { kLevel, kImage };
void gradient_matching_forward(CUstream_st* stream, const float* r, const bool* mask,
                               Divisor divisor, double* divisors, float* loss, double* workspace,
                               int64_t B, int64_t H, int64_t W, int levels);
void gradient_matching_backward(CUstream_st* stream, const float* r, const bool* mask,
                                const double* divisors, const float* dloss, float* dr, int64_t B,
                                int64_t H, int64_t W, int levels);
int64_t gradient_matching_workspace(int64_t B, int64_t H, int64_t W, int levels);

/// Over the images whose weight is not 0: y = sum of w x / sum of w. x, weights: [B]; y, dy: [1].
void weighted_mean_forward(CUstream_st* stream, const float* x, const float* weights, float* y,
                           int64_t B);
void weighted_mean_backward(CUstream_st* stream, const float* weights, const float* dy, float* dx,
                            int64_t B);

}  // namespace fathom::cuda
