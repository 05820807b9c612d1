#pragma once

#include "kernels/gradient_matching.h"
#include "kernels/masked_statistics.h"
#include "kernels/trim_mask.h"

namespace fathom {

/// How the unknown scale and shift are taken out before maps are compared.
enum class SsiAlignment {
  median,         // both maps: (x - median) / mean absolute deviation
  least_squares,  // the prediction is brought nearest to the target
};

/// What is done with the residuals of an image.
enum class SsiError {
  mean_absolute,       // (1/n) sum |r|
  trimmed_quantile,    // mean |r| of those below the (1 - trim) quantile (TrimRule::below_quantile)
  trimmed_smallest,    // (1/(2n)) sum |r| of the (1 - trim) n smallest (MiDaS' ssitrim)
  half_mean_absolute,  // (1/(2n)) sum |r| (MiDaS' ssimae)
  half_mean_squared,   // (1/(2n)) sum r^2 (MiDaS' ssimse)
};

struct SsiOptions {
  SsiAlignment alignment = SsiAlignment::median;
  MedianOver median = MedianOver::valid;
  SsiError error = SsiError::mean_absolute;
  double trim = 0.1;           // of the trimmed errors
  double gradient_weight = 0;  // of gradient_matching, over all valid pixels (never trimmed)
  GradientMatchingOptions gradients = {};
  UsableLimits limits = {};
};

/// Losses of the images of a batch, all [B] of the prediction's dtype. Only `loss` is on the tape.
struct SsiLosses {
  Tensor loss;        // error + gradient_weight * gradients
  Tensor error;       //
  Tensor gradients;   // undefined if gradient_weight is 0
  Tensor usable;      // 1, or 0 for an image that has nothing to compare; its loss is 0
  Tensor valid;       // share of its pixels that were compared
  Tensor degenerate;  // how many of its regions had nothing to compare: 0 or 1, up to 2 for CutMix
};

/// Scale- and shift-invariant loss of each image: a prediction p and any a p + b, a > 0, cost the
/// same. Degenerate images (see usable_images: no or too few valid pixels, a constant map) cost
/// exactly 0 and send no gradient. Invalid pixels are not looked at and get no gradient.
///
/// prediction: [B, H, W], f32 or f64. Differentiable.
/// target:     [B, H, W], of the same dtype; a constant.
/// mask:       boolean [B, H, W], true where the target is valid.
///
/// The composition normalize_affine (or align_least_squares), sub, masked_mae or masked_mse (within
/// trim_mask), gradient_matching.
/// Source: Yang et al., "Depth Anything" (2024), equations 1 to 3; "Depth Anything V2" (2024),
/// section 5.2; Ranftl et al., "Towards Robust Monocular Depth Estimation" (2020), section 5.
SsiLosses ssi_loss(const Tensor& prediction, const Tensor& target, const Tensor& mask,
                   const SsiOptions& options = {});

/// The same for pictures made of two, each with a scale and shift of its own (CutMix): the loss of
/// each region, weighted with its share of the picture's area. No slope across the boundary is
/// compared, and a trimmed error is trimmed within each region. A degenerate region costs 0; the
/// other one counts nevertheless.
///
/// inside: boolean [B, H, W], the region of the second picture; empty or full gives ssi_loss, and a
///         region without area is not called degenerate.
/// Source: Yang et al., "Depth Anything" (2024), equations 6 to 8.
SsiLosses cutmix_ssi_loss(const Tensor& prediction, const Tensor& target, const Tensor& mask,
                          const Tensor& inside, const SsiOptions& options = {});

}  // namespace fathom
