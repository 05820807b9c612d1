#include "train/stages/model.h"

#include "core/autograd.h"
#include "models/load.h"
#include "train/initialize.h"

namespace fathom {

static InitializeOptions random_start(const TrainConfig& config) {
  return {.seed = uint64_t(config.seed),
          .layer_scale = config.model.layer_scale,
          .output_bias = config.model.output_bias};
}

static DepthAnythingConfig with_kind(const TrainConfig& config, DepthKind kind) {
  DepthAnythingConfig model = model_config(config);
  model.kind = kind;
  model.max_depth_m = kind == DepthKind::metric ? config.metric.max_depth_m : 1;
  return model;
}

// mask_token, which only self-supervised pre-training reads, is neither trained nor saved.
static Dinov2 encoder_of_file(const TrainConfig& config) {
  Dinov2 encoder = load_encoder(config.model.encoder);
  const Dinov2Config wanted = model_config(config).encoder;
  check(encoder.config == wanted, "model.encoder: ", config.model.encoder, " has ",
        encoder.config.layers, " blocks of ", encoder.config.channels, " channels and ",
        encoder.config.table, " x ", encoder.config.table, " positions, but the model has ",
        wanted.layers, " of ", wanted.channels, " and ", wanted.table, " x ", wanted.table);
  encoder.mask_token = {};
  return encoder;
}

Dinov2 starting_encoder(const TrainConfig& config) {
  if (!config.model.weights.empty()) return starting_model(config, DepthKind::relative).pretrained;
  if (!config.model.encoder.empty()) return encoder_of_file(config);
  Dinov2 encoder(model_config(config).encoder);
  initialize(encoder, random_start(config));
  return encoder;
}

DepthAnything starting_model(const TrainConfig& config, DepthKind kind) {
  DepthAnything model(with_kind(config, kind));
  if (!config.model.weights.empty()) {
    LoadedModel loaded = load_model(config.model.weights);
    DepthAnythingConfig same = loaded.model.config;
    same.kind = kind, same.max_depth_m = model.config.max_depth_m;
    check(same == model.config, "model.weights: ", config.model.weights, " is ", loaded.title,
          " with ", same.encoder.layers, " blocks of ", same.encoder.channels,
          " channels, which is not the model of this configuration");
    loaded.model.config = model.config;
    loaded.model.pretrained.mask_token = {};
    return loaded.model;
  }
  initialize(model, random_start(config));
  if (!config.model.encoder.empty()) model.pretrained = encoder_of_file(config);
  return model;
}

}  // namespace fathom
