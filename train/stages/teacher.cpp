#include "train/stages/teacher.h"

#include "train/stages/loaders.h"
#include "train/stages/loss_options.h"
#include "train/stages/model.h"
#include "train/stages/plan.h"
#include "train/stages/validation.h"

namespace fathom {

TrainReport train_teacher(const TrainConfig& config, const TrainOptions& options) {
  const StagePlan plan = plan_stage(config, StageName::teacher);
  DepthAnything model = starting_model(config, DepthKind::relative);
  TrainLoop loop(config, options,
                 {.name = "teacher",
                  .steps = plan.steps,
                  .images_per_batch = plan.images_per_batch,
                  .model_version = int(config.model.version),
                  .evaluate = validation_of(config, DepthKind::relative, options.out)},
                 model);
  Loader labeled(loader_options(config, Stream::labeled, config.data.labeled, config.teacher.batch,
                                loop.next_batch()));
  const DepthLossOptions loss = depth_loss_options(config.teacher.loss);

  return loop.run(
      [&] {
        const LoaderBatch batch = labeled.next();
        return std::vector{batch.image, batch.target, batch.mask};
      },
      [&](const std::vector<Tensor>& batch, LossReport& report) {
        const Tensor prediction = loop.forward(model, batch[0]);  // [B, H, W]
        return depth_loss(prediction, batch[1], batch[2], loss, "labeled", report);
      },
      std::array<const Loader*, 1>{&labeled});
}

}  // namespace fathom
