#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernels/cosine_alignment.h"
#include "kernels/silog.h"
#include "kernels/ssi_loss.h"

namespace fathom {

/// What a step says about its losses, for the log. Scalars [] off the tape: nothing waits for the
/// device before the log reads them with item().
struct LossReport {
  using Entries = std::vector<std::pair<std::string, Tensor>>;
  Entries values;  // "labeled.ssi", "labeled.gradients", "unlabeled.ssi", "features" ...
  Entries counts;  // "labeled.degenerate": images (or CutMix regions) that had nothing to compare
};

/// How the losses of images become the loss of a batch.
enum class BatchMean {
  images,  // every usable image counts the same
  pixels,  // by its valid pixels, as in the code of Ranftl et al. ("batch-based")
};

struct DepthLossOptions {
  SsiOptions ssi = {};
  BatchMean mean = BatchMean::images;
};

/// Depth Anything V1: median and mean absolute deviation, mean absolute error.
inline constexpr DepthLossOptions kDepthLossV1{};
/// Depth Anything V2 on labels: twice the gradient matching in addition.
inline constexpr DepthLossOptions kDepthLossV2{.ssi = {.gradient_weight = 2}};
/// Depth Anything V2 on pseudo labels: without the tenth of the pixels that fits worst.
inline constexpr DepthLossOptions kDepthLossV2Pseudo{
    .ssi = {.error = SsiError::trimmed_quantile, .trim = 0.1, .gradient_weight = 2}};
/// Ranftl et al. (2020): the 20 % largest residuals trimmed, half the gradient matching.
inline constexpr DepthLossOptions kDepthLossMidas{
    .ssi = {.error = SsiError::trimmed_smallest,
            .trim = 0.2,
            .gradient_weight = 0.5,
            .gradients = {.divisor = GradientDivisor::image}}};

/// ssi_loss of a batch as one number []: the mean over its usable images; 0 without any, with a
/// gradient of 0. Reports NAME.ssi (the error), NAME.gradients if there is a weight for them (not
/// multiplied with it) and NAME.degenerate.
Tensor depth_loss(const Tensor& prediction, const Tensor& target, const Tensor& mask,
                  const DepthLossOptions& options, const std::string& name, LossReport& report);

/// The same with cutmix_ssi_loss; inside is the region of the second picture.
Tensor cutmix_depth_loss(const Tensor& prediction, const Tensor& target, const Tensor& mask,
                         const Tensor& inside, const DepthLossOptions& options,
                         const std::string& name, LossReport& report);

struct FeatureLossOptions {
  CosineAlignmentOptions alignment = {};
  /// Every token that is kept counts the same; otherwise every image.
  bool mean_of_tokens = false;
};

/// cosine_alignment of a batch as one number []. student and teacher [B, h, w, C]: patch features
/// of the unlabeled images. Reports `features` and the count `features.kept`, tokens that took
/// part.
Tensor feature_loss(const Tensor& student, const Tensor& teacher, const FeatureLossOptions& options,
                    LossReport& report);

struct MetricLossOptions {
  SilogOptions silog = kSilogV2;
  bool whole_batch = true;  // one mean and variance over all images, as both sources have it
};

/// SiLog of a batch as one number []. depth maps in metres; mask true where the label is valid:
/// least <= target <= most (V2: 0.001 m and the model's range). Reports `metric.silog` and
/// `metric.degenerate`, images without enough valid pixels (by image, or 1 if the whole batch is).
Tensor metric_loss(const Tensor& prediction_m, const Tensor& target_m, const Tensor& mask,
                   const MetricLossOptions& options, LossReport& report);

/// The average of several losses in the proportions of their weights, undefined ones left out; with
/// equal weights V1's total of labeled, unlabeled and feature loss. Throws Error if nothing is
/// left. Source: Yang et al., "Depth Anything" (2024), section 3.3.
Tensor weighted_average(const std::vector<std::pair<Tensor, double>>& losses);

}  // namespace fathom
