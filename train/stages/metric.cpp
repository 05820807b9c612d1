#include "train/stages/metric.h"

#include "train/stages/loaders.h"
#include "train/stages/model.h"
#include "train/stages/plan.h"
#include "train/stages/validation.h"

namespace fathom {

// Labels outside of the model's range take no part.
static Tensor within_range(const LoaderBatch& batch, const MetricSection& section) {
  Tensor mask = batch.mask.clone();
  bool* const valid = mask.data<bool>();
  const float* const target_m = batch.target.data<float>();
  for (int64_t i = 0; i < mask.numel(); ++i)
    valid[i] &=
        double(target_m[i]) >= section.min_depth_m && double(target_m[i]) <= section.max_depth_m;
  return mask;
}

TrainReport train_metric(const TrainConfig& config, const TrainOptions& options) {
  const StagePlan plan = plan_stage(config, StageName::metric);
  DepthAnything model = starting_model(config, DepthKind::metric);
  TrainLoop loop(config, options,
                 {.name = "metric",
                  .steps = plan.steps,
                  .images_per_batch = plan.images_per_batch,
                  .model_version = int(config.model.version),
                  .evaluate = validation_of(config, DepthKind::metric, options.out)},
                 model);
  LoaderOptions options_in_metres = loader_options(config, Stream::labeled, config.data.labeled,
                                                   config.metric.batch, loop.next_batch());
  options_in_metres.target = DepthTarget::metres;
  Loader labeled(options_in_metres);
  const MetricLossOptions loss{.silog = config.metric.loss == "zoe" ? kSilogZoe : kSilogV2};

  return loop.run(
      [&] {
        const LoaderBatch batch = labeled.next();
        return std::vector{batch.image, batch.target, within_range(batch, config.metric)};
      },
      [&](const std::vector<Tensor>& batch, LossReport& report) {
        const Tensor prediction_m = loop.forward(model, batch[0]);  // [B, H, W]
        return metric_loss(prediction_m, batch[1], batch[2], loss, report);
      },
      std::array<const Loader*, 1>{&labeled});
}

}  // namespace fathom
