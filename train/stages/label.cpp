#include "train/stages/label.h"

#include <chrono>
#include <cstdio>
#include <future>
#include <nlohmann/json.hpp>

#include "core/autograd.h"
#include "core/device_choice.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/png.h"
#include "models/load.h"
#include "models/preprocess.h"
#include "train/data/sample.h"
#include "train/stages/plan.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// What decides about a map, beside the image's own bytes.
struct Settings {
  std::string weights_hash;
  int64_t size = 0;
  bool flip = false;
  Device device = kCpu;  // of the network; where it is does not decide about a map
  DType dtype = DType::f32;
};

struct Work {
  const Manifest* manifest = nullptr;
  int64_t index = 0;   // within the manifest
  int64_t number = 0;  // of the map
  ManifestEntry entry = {};
};

// Where maps of a run of labeling lie, and what stands beside them.
class LabelFolder {
 public:
  LabelFolder(fs::path folder, Settings settings)
      : folder_(std::move(folder)), settings_(std::move(settings)) {
    std::error_code error;
    fs::create_directories(folder_ / "maps", error);
    check(!error, "label.out: cannot create ", (folder_ / "maps").string(), ": ", error.message());
  }

  std::string map_name(int64_t number) const {
    char name[40];
    std::snprintf(name, sizeof name, "maps/%08lld.png", static_cast<long long>(number));
    return name;
  }

  // Whether the map of this image is there already, made in the same way and undamaged.
  bool holds(const Work& work, bool verify) const {
    const fs::path png = folder_ / map_name(work.number);
    const fs::path side = fs::path(png).replace_extension(".json");
    if (!fs::exists(png) || !fs::exists(side)) return false;
    const Json json = Json::parse(read_text(side), nullptr, false);
    const auto is = [&](const char* key, const Json& wanted) {
      const auto at = json.find(key);
      return at != json.end() && *at == wanted;
    };
    if (!json.is_object() || !is("image", image_of(work)) ||
        !is("weights", settings_.weights_hash) || !is("size", settings_.size) ||
        !is("flip", settings_.flip) ||
        json.value("dtype", Json("f32")) != Json(std::string(name_of(settings_.dtype))))
      return false;
    return !verify || is("xxh3_128", hash_of_file(png));
  }

  void write(const Work& work, const MapView& disparity) const {
    const fs::path png = folder_ / map_name(work.number);
    const fs::path side = fs::path(png).replace_extension(".json");
    const StoredScale scale = full_range(disparity);
    std::error_code ignored;
    fs::remove(side, ignored);  // never a side file of another map
    write_png(png, store(disparity, scale).image);
    const Json json{{"image", image_of(work)},
                    {"min", scale.offset},
                    {"max", scale.offset + 65535 * scale.scale},
                    {"height", disparity.height},
                    {"width", disparity.width},
                    {"weights", settings_.weights_hash},
                    {"size", settings_.size},
                    {"flip", settings_.flip},
                    {"dtype", std::string(name_of(settings_.dtype))},
                    {"xxh3_128", hash_of_file(png)}};
    write_text(side, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  }

  // The image as seen from this folder; archives keep their member's name at the end.
  std::string image_of(const Work& work) const {
    const fs::path image = work.manifest->path().parent_path() / work.entry.image;
    return fs::absolute(image)
        .lexically_normal()
        .lexically_relative(fs::absolute(folder_).lexically_normal())
        .string();
  }

  std::string manifest_line(const Work& work) const {
    Json json{{"image", image_of(work)}, {"depth", map_name(work.number)}, {"kind", "disparity"}};
    if (!work.entry.dataset.empty()) json["dataset"] = work.entry.dataset;
    if (!work.entry.split.empty()) json["split"] = work.entry.split;
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

 private:
  fs::path folder_;
  Settings settings_;
};

// A photo as the network wants it, or why there is none.
struct Decoded {
  Work work;
  Tensor image;  // [1, H, W, 3]
  std::string problem;
};

Decoded decode(const Work& work, int64_t size) {
  Decoded decoded{work, {}, {}};
  try {
    const Image8 photo = load_image(work.manifest->files(), work.entry);
    const ImageSize network = input_size({photo.height, photo.width}, int(size));
    decoded.image = empty({1, network.height, network.width, 3});
    preprocess(photo, network,
               std::span(decoded.image.data<float>(), size_t(decoded.image.numel())));
  } catch (const Error& error) {
    decoded.problem = error.what();
  }
  return decoded;
}

Tensor mirrored(const Tensor& x) {  // [B, H, W, C] or [B, H, W]
  Tensor y = empty_like(x);
  const int64_t W = x.dim(2), C = x.rank() == 4 ? x.dim(3) : 1, rows = x.numel() / (W * C);
  const float* const from = x.data<float>();
  float* const to = y.data<float>();
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < W; ++column)
      std::copy_n(from + (row * W + column) * C, C, to + (row * W + W - 1 - column) * C);
  return y;
}

Tensor predict(const DepthAnything& model, const Tensor& image, const Settings& settings) {
  const auto map_of = [&](const Tensor& x) {  // [B, H, W]
    return model(x.to(settings.device).to(settings.dtype)).to(DType::f32).to(kCpu);
  };
  Tensor map = map_of(image);
  if (!settings.flip) return map;
  const Tensor other = mirrored(map_of(mirrored(image)));
  float* const a = map.data<float>();
  const float* const b = other.data<float>();
  for (int64_t i = 0; i < map.numel(); ++i) a[i] = 0.5f * (a[i] + b[i]);
  return map;
}

DepthAnything teacher_of(const TrainConfig& config, Settings& settings) {
  check(!config.label.weights.empty(), "label.weights is empty; name the teacher's model");
  LoadedModel loaded = load_model(config.label.weights);
  check(loaded.model.config.kind == DepthKind::relative, "label.weights: ", config.label.weights,
        " is a metric model; pseudo labels are disparities of a relative one");
  settings.weights_hash = loaded.weights_hash;
  prepare_for_inference(loaded.model, settings.dtype, settings.device);
  return std::move(loaded.model);
}

}  // namespace

LabelReport label_images(const TrainConfig& config, const LabelOptions& options) {
  const NoGrad no_grad;
  const auto start = std::chrono::steady_clock::now();
  const LabelSection& section = config.label;
  check(!config.data.unlabeled.empty(), "data.unlabeled is empty; name a manifest of images");
  check(!section.out.empty(), "label.out is empty; name a folder for the maps");
  Settings settings{.weights_hash = {},
                    .size = section.size > 0 ? section.size : config.data.size,
                    .flip = section.flip,
                    .device = choose_device(config.device)};
  settings.dtype = inference_dtype(section.dtype, settings.device);
  const DepthAnything model = teacher_of(config, settings);
  const LabelFolder folder(section.out, settings);

  std::vector<std::unique_ptr<Manifest>> manifests;
  LabelReport report;
  for (const std::string& path : config.data.unlabeled) {
    manifests.push_back(std::make_unique<Manifest>(path));
    report.images += manifests.back()->size();
  }
  const fs::path manifest_path = pseudo_label_manifest(config);
  report.manifest = manifest_path.string();
  AtomicFile manifest(manifest_path);

  const auto tell = [&] {
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (options.on_progress) options.on_progress(report);
  };
  // Decoded images of one network size, in order, and their maps.
  std::vector<Decoded> group;
  const auto predict_group = [&] {
    if (group.empty()) return;
    std::vector<Tensor> images;
    for (const Decoded& decoded : group) images.push_back(decoded.image);
    const Tensor maps = predict(model, concat(images, 0), settings);
    const int64_t H = maps.dim(1), W = maps.dim(2);
    for (size_t i = 0; i < group.size(); ++i) {
      const float* const map = maps.data<float>() + int64_t(i) * H * W;
      folder.write(group[i].work, {H, W, std::span(map, size_t(H * W))});
      manifest.write(folder.manifest_line(group[i].work));
      ++report.written;
    }
    group.clear();
    tell();
  };
  const auto take = [&](Decoded decoded) {
    if (!decoded.problem.empty()) {
      report.failures.push_back(decoded.problem);
      ++report.failed;
      check(
          double(report.failed) <= std::max(1.0, config.data.max_bad_rate * double(report.images)),
          report.failed, " of ", report.images, " images cannot be read, more than ",
          "data.max_bad_rate allows; the last: ", decoded.problem);
      return;
    }
    if (!group.empty() && group[0].image.shape() != decoded.image.shape()) predict_group();
    group.push_back(std::move(decoded));
    if (int64_t(group.size()) == section.batch) predict_group();
  };

  std::future<Decoded> ahead;  // decoded while the network runs
  int64_t number = 0;
  for (const auto& source : manifests)
    for (int64_t i = 0; i < source->size() && !report.stopped; ++i) {
      report.stopped = options.stop && *options.stop;
      const Work work{source.get(), i, number++, source->entry(i)};
      if (folder.holds(work, section.verify)) {
        if (ahead.valid()) take(ahead.get());
        predict_group();  // the manifest keeps the order of the images
        manifest.write(folder.manifest_line(work));
        ++report.kept;
        continue;
      }
      std::future<Decoded> next =
          std::async(std::launch::async, [work, &settings] { return decode(work, settings.size); });
      if (ahead.valid()) take(ahead.get());
      ahead = std::move(next);
    }
  if (ahead.valid()) take(ahead.get());
  predict_group();
  check(report.written + report.kept > 0, "no image of data.unlabeled could be read");
  // A part of the labels would pass for all of them: the manifest appears when they are complete.
  if (!report.stopped) manifest.commit();
  tell();
  return report;
}

}  // namespace fathom
