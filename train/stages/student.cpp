#include "train/stages/student.h"

#include "core/autograd.h"
#include "kernels/elementwise.h"
#include "train/data/cutmix.h"
#include "train/stages/loaders.h"
#include "train/stages/loss_options.h"
#include "train/stages/model.h"
#include "train/stages/plan.h"
#include "train/stages/validation.h"

namespace fathom {
namespace {

// Features after the last block, normalised, and the depth they lead to.
struct Forward {
  Tensor depth;     // [B, H, W]
  Tensor features;  // [B, h, w, C]
};

Forward forward(const DepthAnything& model, const Tensor& image) {
  std::vector<Tensor> maps = model.pretrained(image, model.config.taps);
  const Tensor features = maps.back();
  return {model.depth_head(std::move(maps), image.dim(1), image.dim(2), HeadActivation::relu, 1)
              .to(DType::f32),
          features};
}

Tensor last_features(const Dinov2& frozen, int block, const Tensor& image) {
  const NoGrad no_grad;
  return frozen(image, std::span(&block, 1))[0];
}

}  // namespace

TrainReport train_student(const TrainConfig& config, const TrainOptions& options) {
  const StudentSection& section = config.student;
  const StagePlan plan = plan_stage(config, StageName::student);
  DepthAnything model = starting_model(config, DepthKind::relative);
  TrainLoop loop(config, options,
                 {.name = "student",
                  .steps = plan.steps,
                  .images_per_batch = plan.images_per_batch,
                  .model_version = int(config.model.version),
                  .evaluate = validation_of(config, DepthKind::relative, options.out)},
                 model);
  std::optional<Dinov2> frozen;
  if (section.align_weight > 0) frozen = loop.frozen(starting_encoder(config));

  std::unique_ptr<Loader> labeled, unlabeled;
  std::vector<const Loader*> loaders;
  if (section.labeled_batch > 0) {
    labeled = std::make_unique<Loader>(loader_options(config, Stream::labeled, config.data.labeled,
                                                      section.labeled_batch, loop.next_batch()));
    loaders.push_back(labeled.get());
  }
  if (section.unlabeled_batch > 0) {
    LoaderOptions perturbed =
        loader_options(config, Stream::unlabeled, {pseudo_label_manifest(config).string()},
                       section.unlabeled_batch, loop.next_batch());
    perturbed.perturb = section.perturb;
    unlabeled = std::make_unique<Loader>(perturbed);
    loaders.push_back(unlabeled.get());
  }
  const DepthLossOptions loss = depth_loss_options(section.loss),
                         unlabeled_loss = depth_loss_options(section.unlabeled_loss);
  const FeatureLossOptions alignment{.alignment = {.margin = section.align_margin}};
  AugmentSection mixing = config.augment;
  if (!section.perturb) mixing.cutmix = 0;

  return loop.run(
      [&] {
        std::vector<Tensor> drawn;
        if (labeled) {
          const LoaderBatch batch = labeled->next();
          drawn = {batch.image, batch.target, batch.mask};
        }
        if (unlabeled) {
          const LoaderBatch batch = unlabeled->next();
          const Tensor inside = cutmix_regions(batch.ids, config.data.size, mixing);
          for (const Tensor& x : {batch.image, batch.target, batch.mask})
            drawn.push_back(paste_partner(x, inside));
          drawn.push_back(inside);
        }
        return drawn;
      },
      [&](const std::vector<Tensor>& drawn, LossReport& report) {
        Tensor of_labels, of_pseudo_labels, of_features;
        if (labeled) {
          const Tensor prediction = loop.forward(model, drawn[0]);
          of_labels = depth_loss(prediction, drawn[1], drawn[2], loss, "labeled", report);
        }
        if (unlabeled) {
          const auto mixed = std::span(drawn).last<4>();
          const Tensor image = loop.as_input(mixed[0]);
          const Forward student = forward(model, image);
          of_pseudo_labels = cutmix_depth_loss(student.depth, mixed[1], mixed[2], mixed[3],
                                               unlabeled_loss, "unlabeled", report);
          if (frozen)
            of_features = feature_loss(student.features,
                                       last_features(*frozen, model.config.taps.back(), image),
                                       alignment, report);
        }
        return weighted_average({{of_labels, section.labeled_weight},
                                 {of_pseudo_labels, section.unlabeled_weight},
                                 {of_features, section.align_weight}});
      },
      loaders);
}

}  // namespace fathom
