#include "train/losses.h"

#include "core/autograd.h"
#include "kernels/elementwise.h"
#include "kernels/masks.h"
#include "kernels/reduce.h"
#include "kernels/weighted_mean.h"

namespace fathom {

static Tensor reduce_images(const SsiLosses& images, const DepthLossOptions& options,
                            const std::string& name, LossReport& report) {
  const Tensor& weights = options.mean == BatchMean::images ? images.usable : images.valid;
  report.values.emplace_back(name + ".ssi", weighted_mean(images.error, weights));
  if (images.gradients.defined())
    report.values.emplace_back(name + ".gradients", weighted_mean(images.gradients, weights));
  report.counts.emplace_back(name + ".degenerate", sum(images.degenerate));
  return weighted_mean(images.loss, weights);
}

Tensor depth_loss(const Tensor& prediction, const Tensor& target, const Tensor& mask,
                  const DepthLossOptions& options, const std::string& name, LossReport& report) {
  return reduce_images(ssi_loss(prediction, target, mask, options.ssi), options, name, report);
}

Tensor cutmix_depth_loss(const Tensor& prediction, const Tensor& target, const Tensor& mask,
                         const Tensor& inside, const DepthLossOptions& options,
                         const std::string& name, LossReport& report) {
  return reduce_images(cutmix_ssi_loss(prediction, target, mask, inside, options.ssi), options,
                       name, report);
}

Tensor feature_loss(const Tensor& student, const Tensor& teacher, const FeatureLossOptions& options,
                    LossReport& report) {
  const CosineAlignment images = cosine_alignment(student, teacher, options.alignment);
  const Tensor kept = images.kept.to(images.loss.dtype());
  const Tensor weights = options.mean_of_tokens ? kept : full(kept.shape(), 1, kept.options());
  const Tensor loss = weighted_mean(images.loss, weights);
  report.values.emplace_back("features", loss.detach());
  report.counts.emplace_back("features.kept", sum(kept));
  return loss;
}

Tensor metric_loss(const Tensor& prediction_m, const Tensor& target_m, const Tensor& mask,
                   const MetricLossOptions& options, LossReport& report) {
  check(prediction_m.rank() >= 1, "metric_loss: expected [B, ...], got a scalar");
  const int64_t images = options.whole_batch ? 1 : prediction_m.dim(0);
  const Shape rows{images, prediction_m.numel() / images};
  const auto as_rows = [&](const Tensor& x) { return x.contiguous().view(rows); };
  check_masked("metric_loss", prediction_m, mask);
  check_masked("metric_loss", target_m, mask);
  const Tensor losses =
      silog(as_rows(prediction_m), as_rows(target_m), as_rows(mask), options.silog);
  const Tensor usable = usable_images(as_rows(mask), losses.dtype(), options.silog.least_count);
  const Tensor one = full(usable.shape(), 1, usable.options());
  const Tensor loss = weighted_mean(losses, usable);
  report.values.emplace_back("metric.silog", loss.detach());
  report.counts.emplace_back("metric.degenerate", sum(sub(one, usable)));
  return loss;
}

Tensor weighted_average(const std::vector<std::pair<Tensor, double>>& losses) {
  double total = 0;
  for (const auto& [loss, weight] : losses)
    if (loss.defined()) total += weight;
  Tensor sum;
  for (const auto& [loss, weight] : losses) {
    if (!loss.defined() || weight == 0) continue;
    const Tensor part = scale(loss, weight / total);
    sum = sum.defined() ? add(sum, part) : part;
  }
  check(sum.defined(), "weighted_average: there is no loss with a weight");
  return sum;
}

}  // namespace fathom
