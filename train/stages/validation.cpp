#include "train/stages/validation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/autograd.h"
#include "core/bytes.h"
#include "train/data/sample.h"
#include "train/eval/evaluate.h"
#include "train/panels.h"

namespace fathom {
namespace {

// Prediction and truth as disparities of one scale and size.
Panel panel_of(const std::string& name, const Image8& photo, const FloatMap& prediction,
               const FloatMap& depth_m, DepthKind kind, const EvalProtocol& protocol,
               const Comparison& comparison) {
  Panel panel{.title = {}, .photo = photo, .prediction = {}, .truth = depth_m};
  panel.prediction = resize_map(prediction, {depth_m.height, depth_m.width}, protocol.resize);
  const bool in_depth =
      kind == DepthKind::metric && protocol.alignment != Alignment::least_squares_disparity;
  for (float& value : panel.prediction.values) {
    const double v =
        kind == DepthKind::metric && !in_depth ? 1 / std::max(1e-6, double(value)) : double(value);
    const double aligned = comparison.fit(v);
    value = float(in_depth ? 1 / std::max(1e-6, aligned) : aligned);
  }
  for (float& value : panel.truth.values) value = value > 0 ? 1 / value : 0;
  const DepthMetrics& metrics = kind == DepthKind::metric ? comparison.depth : comparison.disparity;
  char text[80];
  std::snprintf(text, sizeof text, ": delta1 %.3f, AbsRel %.3f", metrics.delta1, metrics.abs_rel);
  panel.title = name + text;
  return panel;
}

void check_skipped(const std::vector<std::string>& skipped, size_t read, double max_bad_rate) {
  if (skipped.empty()) return;
  check(read > 0, "no readable image in data.validation; the last: ", skipped.back());
  check(double(skipped.size()) <= std::max(1.0, max_bad_rate * double(read + skipped.size())),
        skipped.size(), " of ", read + skipped.size(),
        " images of data.validation cannot be read, more than data.max_bad_rate = ", max_bad_rate,
        " allows; the last: ", skipped.back());
}

}  // namespace

EvalProtocol protocol_of(const EvalSection& section, int64_t version) {
  return {.alignment = alignment_of(section.alignment),
          .min_depth_m = section.min_depth_m,
          .max_depth_m = section.max_depth_m,
          .crop = crop_of(section.crop),
          .resize = map_resize_of(version)};
}

std::function<Evaluation(const DepthAnything&)> validation_of(const TrainConfig& config,
                                                              DepthKind kind,
                                                              const std::filesystem::path& run) {
  if (config.data.validation.empty()) return {};
  auto manifests = std::make_shared<std::vector<Manifest>>();
  for (const std::string& path : config.data.validation) manifests->emplace_back(path);
  for (const Manifest& manifest : *manifests)  // now, not after the last step
    check(manifest.labeled() == manifest.size(), manifest.path().string(), ": ",
          manifest.size() - manifest.labeled(),
          " images have no depth, but data.validation is for labeled images");
  const EvalProtocol protocol = protocol_of(config.eval, config.model.version);
  check_protocol(kind, protocol);
  return [=](const DepthAnything& trained) {
    const NoGrad no_grad;
    DepthAnything model = trained;
    prepare_for_inference(model, DType::f32, trained.pretrained.cls_token.device());
    std::vector<DepthMetrics> disparity, depth;
    std::vector<Panel> panels;
    Evaluation evaluation;
    for (const Manifest& manifest : *manifests)
      for (int64_t i = 0; i < manifest.size(); ++i) {
        if (config.eval.images > 0 && int64_t(depth.size()) == config.eval.images) break;
        const ManifestEntry entry = manifest.entry(i);
        Image8 photo;
        FloatMap depth_m;
        Comparison comparison;
        const auto skips = [&](auto&& step) {
          try {
            return step(), false;
          } catch (const Error& error) {
            return evaluation.skipped.emplace_back(error.what()), true;
          }
        };
        if (skips([&] {
              photo = load_image(manifest.files(), entry);
              depth_m = true_depth(manifest.files(), entry);
            }))
          continue;
        const FloatMap prediction = predict_map(model, photo, config.data.size);
        if (skips([&] {
              comparison =
                  naming(entry.image, [&] { return compare(prediction, kind, depth_m, protocol); });
            }))
          continue;
        disparity.push_back(comparison.disparity);
        depth.push_back(comparison.depth);
        if (int64_t(panels.size()) < config.eval.panels)
          panels.push_back(
              panel_of(entry.image, photo, prediction, depth_m, kind, protocol, comparison));
      }
    check_skipped(evaluation.skipped, depth.size(), config.data.max_bad_rate);
    write_panels(RunFolder{run}.panels(), panels);
    const auto add = [&](const char* space, const DepthMetrics& metrics) {
      visit_metrics(metrics, [&](const char* name, double value) {
        evaluation.values.emplace_back(std::string("eval/") + space + "/" + name, value);
      });
      evaluation.score = metrics.delta1;
    };
    add("depth", mean_of(depth));
    if (kind == DepthKind::relative) add("disparity", mean_of(disparity));  // whose score counts
    evaluation.values.emplace_back("eval/images", double(depth.size()));
    if (!evaluation.skipped.empty())
      evaluation.values.emplace_back("eval/skipped_images", double(evaluation.skipped.size()));
    return evaluation;
  };
}

}  // namespace fathom
