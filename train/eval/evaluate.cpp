#include "train/eval/evaluate.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "models/preprocess.h"
#include "train/data/sample.h"

namespace fathom {
namespace {

// Whether one is the other resized: whole pixels may round one side by less than one.
bool same_shape(ImageSize a, ImageSize b) {
  const auto fits = [](ImageSize from, ImageSize to) {
    const double height = double(from.height) * double(to.width) / double(from.width);
    const double width = double(from.width) * double(to.height) / double(from.height);
    return std::abs(height - double(to.height)) < 1 || std::abs(width - double(to.width)) < 1;
  };
  return fits(a, b) || fits(b, a);
}

void compare_image(const Manifest& manifest, const ManifestEntry& entry, const Predictor& predict,
                   const EvalOptions& options, EvalResult& result) {
  const EvalProtocol& protocol = options.protocol;
  auto step = SkipReason::no_truth;
  try {
    FloatMap truth = true_depth(manifest.files(), entry);
    step = SkipReason::no_prediction;
    const Prediction prediction = predict(manifest.files(), entry);
    step = SkipReason::wrong_size;
    if (protocol.kb_crop) truth = cropped(truth, kb_crop_box({truth.height, truth.width}));
    const ImageSize size{truth.height, truth.width};
    check(same_shape(prediction.covers, size), entry.image, ": the prediction is of a view of ",
          prediction.covers.height, " x ", prediction.covers.width, ", but the truth is ",
          size.height, " x ", size.width);
    crop_box(protocol.crop, size);
    step = SkipReason::no_valid_pixel;
    const Comparison comparison = compare(prediction.map, options.kind, truth, protocol);
    result.compared.push_back({entry.image, entry.dataset, comparison});
  } catch (const Error& error) {
    result.skipped.push_back({entry.image, step, error.what()});
  }
}

}  // namespace

std::string name_of(SkipReason reason) {
  switch (reason) {
    case SkipReason::no_truth: return "no_truth";
    case SkipReason::no_prediction: return "no_prediction";
    case SkipReason::wrong_size: return "wrong_size";
    case SkipReason::no_valid_pixel: return "no_valid_pixel";
  }
  fail("unknown reason ", int(reason));
}

EvalResult evaluate(const std::vector<std::filesystem::path>& paths, const Predictor& predict,
                    const EvalOptions& options) {
  check_protocol(options.kind, options.protocol);
  std::vector<std::unique_ptr<Manifest>> manifests;
  int64_t images = 0;
  for (const auto& path : paths) {
    manifests.push_back(std::make_unique<Manifest>(path, options.split));
    images += manifests.back()->size();
  }
  if (options.limit > 0) images = std::min(images, options.limit);

  EvalResult result;
  int64_t done = 0;
  for (const auto& manifest : manifests)
    for (int64_t i = 0; i < manifest->size() && done < images; ++i) {
      if (options.stop && *options.stop) {
        result.stopped = true;
        return result;
      }
      compare_image(*manifest, manifest->entry(i), predict, options, result);
      ++done;
      if (options.on_progress) options.on_progress(done, images);
    }
  check(!result.compared.empty(), "evaluation: none of ", images, " images could be compared",
        result.skipped.empty() ? "" : "; the first: " + result.skipped[0].detail);
  std::vector<DepthMetrics> disparity, depth;
  for (const ImageResult& image : result.compared) {
    disparity.push_back(image.comparison.disparity);
    depth.push_back(image.comparison.depth);
  }
  result.disparity = mean_of(disparity);
  result.depth = mean_of(depth);
  return result;
}

Predictor model_predictor(const DepthAnything& model, int64_t size, bool kb_crop) {
  return [&model, size, kb_crop](const FileStore& files, const ManifestEntry& entry) {
    Image8 photo = load_image(files, entry);
    if (kb_crop) photo = cropped(photo, kb_crop_box({photo.height, photo.width}));
    return Prediction{predict_map(model, photo, size), {photo.height, photo.width}};
  };
}

FloatMap true_depth(const FileStore& files, const ManifestEntry& entry) {
  const bool relative = entry.format.unit_m == 0;
  DepthMap map =
      load_depth(files, entry, relative ? DepthTarget::inverse_depth : DepthTarget::metres);
  for (size_t i = 0; i < map.values.size(); ++i) {
    float& value = map.values[i];
    if (!map.mask[i] || !(value > 0))
      value = 0;
    else if (relative)
      value = 1 / value;
  }
  return {map.height, map.width, std::move(map.values)};
}

FloatMap predict_map(const DepthAnything& model, const Image8& photo, int64_t size) {
  const NoGrad no_grad;
  const ImageSize network = input_size({photo.height, photo.width}, int(size));
  Tensor image = empty({1, network.height, network.width, 3});
  preprocess(photo, network, std::span(image.data<float>(), size_t(image.numel())));
  const Tensor& like = model.pretrained.cls_token;  // for the model's device and dtype
  const Tensor map =
      model(image.to(like.device()).to(like.dtype())).to(DType::f32).to(kCpu);  // [1, H, W]
  const float* const values = map.data<float>();
  return {network.height, network.width, {values, values + map.numel()}};
}

}  // namespace fathom
