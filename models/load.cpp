#include "models/load.h"

#include <cstdio>

#include "core/autograd.h"
#include "core/hash.h"
#include "core/strided_copy.h"
#include "models/checkpoint/state_dict.h"

namespace fathom {

static Dinov2Config encoder_config(const ModelDescription& d) {
  Dinov2Config config{.channels = d.channels,
                      .layers = d.layers,
                      .heads = d.heads,
                      .patch = d.patch,
                      .hidden = d.hidden,
                      .swiglu = d.swiglu};
  while (config.table * config.table < d.positions) ++config.table;
  while (config.table * config.table > d.positions) --config.table;
  check(config.table * config.table == d.positions, "the position table has ", d.positions,
        " rows, which is not a square grid");
  if (d.registers == 0) return config;
  config.registers = d.registers;
  config.positions = PositionRule::antialias;
  return config;
}

DepthAnythingConfig config_of(const ModelDescription& d) {
  check(d.version != ModelVersion::unknown && d.kind != DepthKind::unknown,
        "config_of: version and kind must be known");
  check(d.has_head && !d.zoe_head, "config_of: not a model with a DPT head and nothing behind it");
  DepthAnythingConfig config{.encoder = encoder_config(d),
                             .head = {.features = d.features, .out_channels = d.out_channels},
                             .taps = {},
                             .kind = d.kind,
                             .max_depth_m = d.kind == DepthKind::metric ? d.max_depth_m : 1};
  if (d.taps.size() == 4) {
    for (size_t i = 0; i < 4; ++i) {
      check(d.taps[i] < d.layers && (i == 0 || d.taps[i] > d.taps[i - 1]), "tap ", d.taps[i],
            ": the decoder's taps must be ascending and below the ", d.layers, " blocks");
      config.taps[i] = int(d.taps[i]);
    }
  } else {
    config.taps = depth_anything_taps(d.version == ModelVersion::v1 ? 1 : 2, d.layers);
  }
  return config;
}

std::string title_of(const ModelDescription& d) {
  std::string title = "Depth Anything";
  if (d.version != ModelVersion::unknown) title += d.version == ModelVersion::v1 ? " V1" : " V2";
  title += " " + d.size;
  if (d.kind != DepthKind::metric) return title;
  char text[32];
  std::snprintf(text, sizeof text, " metric, up to %g m", d.max_depth_m);
  return title + text;
}

std::string hash_of(const Archive& archive) {
  if (archive.files.size() == 1) return hash_of_file(archive.files[0]->path());
  Hash128 all;
  for (const auto& file : archive.files) all.update(hash_of_file(file->path()));
  return all.hex();
}

// Fills every parameter of a module; `prefix` is what its names lack against the official ones.
static void fill(auto& module, const std::string& prefix, const Archive& archive,
                 const NameMap& names) {
  struct Target {
    Tensor* tensor;
    AxisOrder order;
  };
  std::vector<ExpectedTensor> expected;
  std::vector<Target> targets;
  for_each_parameter(module, [&](const std::string& name, Tensor& t, AxisOrder order) {
    expected.push_back({prefix + name, published_view(t, order).shape()});
    targets.push_back({&t, order});
  });
  const StateDictMatch match = match_state_dict(expected, names, archive);
  check_exact(match, archive);
  for (size_t i = 0; i < targets.size(); ++i) {
    const NameMap::Source& source = *match.sources[i];
    Tensor& t = *targets[i].tensor;
    if (targets[i].order == AxisOrder::as_published) {
      copy_source(source, DType::f32,
                  std::as_writable_bytes(std::span(t.data<float>(), size_t(t.numel()))));
    } else {
      Tensor published = empty(expected[i].shape);
      copy_source(
          source, DType::f32,
          std::as_writable_bytes(std::span(published.data<float>(), size_t(published.numel()))));
      Tensor view = published_view(t, targets[i].order);
      strided_copy(published, view);
    }
    for (const Entry* part : source.parts) archive.drop(*part);
  }
}

LoadedModel load_model(const std::filesystem::path& path, const ModelFlags& flags) {
  const NoGrad no_grad;
  const Archive archive = open_archive(path);
  const NameMap names = map_names(archive);
  const ModelDescription description = describe_model(archive, names, path, flags);
  check(description.has_head, archive.path,
        ": holds a DINOv2 encoder without a depth head; a Depth Anything checkpoint is needed");
  check(!description.zoe_head, archive.path,
        ": a V1 metric checkpoint with a ZoeDepth head, which this version does not run");
  check_known(description, archive);
  LoadedModel loaded{DepthAnything(config_of(description)), description,
                     description.version == ModelVersion::v1 ? 1 : 2, title_of(description),
                     hash_of(archive)};
  // Training may leave out mask_token, which only self-supervised pre-training reads.
  if (!description.has_mask_token) loaded.model.pretrained.mask_token = {};
  fill(loaded.model, "", archive, names);
  return loaded;
}

Dinov2 load_encoder(const std::filesystem::path& path) {
  const NoGrad no_grad;
  const Archive archive = open_archive(path);
  NameMap names = map_names(archive);
  const ModelDescription description = describe_model(archive, names, path, {});
  std::erase_if(names.sources, [](const NameMap::Source& source) {
    return !source.name.starts_with("pretrained.");
  });
  Dinov2 encoder(encoder_config(description));
  if (!description.has_mask_token) encoder.mask_token = {};
  fill(encoder, "pretrained.", archive, names);
  return encoder;
}

}  // namespace fathom
