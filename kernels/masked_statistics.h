#pragma once

#include "core/tensor.h"

namespace fathom {

/// Which values the median is taken of.
enum class MedianOver {
  valid,          // those that the mask keeps
  all_with_zeros  // all of the image, hidden ones as 0: what the code published with Ranftl et al.
                  // (2020) computes, against their paper; to compare with it
};

/// Location and width of the valid values of each image.
struct MaskedStatistics {
  Tensor median;     // [B], dtype of x: t = the value of rank (n - 1) / 2, the lower median
  Tensor deviation;  // [B], dtype of x: s = (1/n) sum |x - t|
  Tensor index;      // [B] i32: the first place in the image that holds t
  Tensor count;      // [B] i32: n
};

/// Exact lower median, as torch.median picks it, and mean absolute deviation from it, over the
/// elements of each image that the mask keeps. NaN is above every number and -0 equals 0; what the
/// mask hides is not looked at. An image without any has t = s = 0, index -1 and n = 0. With
/// all_with_zeros only the median differs: t is the one of all elements, 0 where the mask is false,
/// and index may be a hidden place.
///
/// x:    [B, ...], f32 or f64; fewer than 2^31 elements an image.
/// mask: boolean, of x's shape.
/// s is summed in double and rounded once, the bits do not depend on the number of threads. Not
/// differentiable: normalize_affine has the gradient. Throws Error on other dtypes or shapes.
MaskedStatistics masked_statistics(const Tensor& x, const Tensor& mask,
                                   MedianOver over = MedianOver::valid);

/// What an image needs for its statistics to mean something.
struct UsableLimits {
  int64_t least_count = 10;   // Depth-Anything-V2: metric_depth/train.py, for validation
  double least_scale = 1e-6;  // of the mean absolute deviation; below it the map is a constant
};

/// Which images can be compared: [B] of 1 and 0, dtype of the statistics. An image is unusable if
/// prediction or target have n < least_count, n = 0 or s < least_scale. A deviation of NaN is
/// usable: it shall reach the loss, where the step that made it is found and skipped.
Tensor usable_images(const MaskedStatistics& prediction, const MaskedStatistics& target,
                     const UsableLimits& limits = {});

/// The same of a boolean mask [B, ...] alone, in f32 or f64: an image is usable if it has an
/// element, and least_count of them.
Tensor usable_images(const Tensor& mask, DType dtype, int64_t least_count);

namespace kernels {  // contiguous tensors; outputs last
void masked_statistics(CpuStream, const Tensor& x, const Tensor& mask, MedianOver over,
                       Tensor& median, Tensor& deviation, Tensor& index, Tensor& count);
void masked_statistics(CudaStream, const Tensor& x, const Tensor& mask, MedianOver over,
                       Tensor& median, Tensor& deviation, Tensor& index, Tensor& count);
/// usable[b] = usable[b] and the image passes: called once for each of several statistics.
void usable_images(CpuStream, const Tensor& deviation, const Tensor& count, int64_t least_count,
                   double least_scale, Tensor& usable);
void usable_images(CudaStream, const Tensor& deviation, const Tensor& count, int64_t least_count,
                   double least_scale, Tensor& usable);
}  // namespace kernels
}  // namespace fathom
