#include "train/eval/evaluate.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/npy.h"
#include "core/pfm.h"
#include "tests/pictures.h"
#include "tests/scratch.h"
#include "tests/testing.h"
#include "train/eval/predictions.h"
#include "train/eval/result.h"
#include "train/initialize.h"

namespace fathom {

namespace fs = std::filesystem;
using Catch::Contains;

namespace {

constexpr int64_t kHeight = 20, kWidth = 30;

// Smooth depths from 1 to 5 m, another scene for every key.
FloatMap scene(int key, int64_t height = kHeight, int64_t width = kWidth) {
  FloatMap map{height, width, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      map.values.push_back(
          float(3 + std::sin(0.2 * double(x) + key) + std::cos(0.3 * double(y * (key + 1)))));
  return map;
}

void write_photo(const fs::path& path, int64_t height = kHeight, int64_t width = kWidth) {
  Image8 photo{.height = int(height), .width = int(width)};
  for (int64_t i = 0; i < height * width * 3; ++i) photo.pixels.push_back(uint8_t(i * 37 % 251));
  write_ppm(path, photo);
}

// A data set of photos NUMBER.ppm and depths NUMBER.npy in metres.
struct Scenes {
  ScratchFolder folder{"evaluate"};
  std::vector<fs::path> manifests{folder.path / "set.jsonl"};

  explicit Scenes(int count) {
    fs::create_directories(folder.path / "predicted");
    for (int i = 0; i < count; ++i) add(std::to_string(i), scene(i));
  }
  void add(const std::string& name, const FloatMap& depth_m) {
    write_photo(folder.path / (name + ".ppm"));
    write_npy(folder.path / (name + ".npy"), depth_m);
    line(name + ".ppm", name + ".npy");
  }
  void line(const std::string& image, const std::string& depth) {
    std::ofstream out(manifests[0], std::ios::app);
    out << R"({"image": ")" << image << R"(", "dataset": "made, here")";
    if (!depth.empty()) out << R"(, "depth": ")" << depth << R"(", "kind": "depth", "unit": "m")";
    out << "}\n";
  }
  void predict(const std::string& name, const FloatMap& map) {
    write_npy(folder.path / "predicted" / (name + ".npy"), map);
  }
  Predictor from_folder(DepthKind kind = DepthKind::metric) const {
    return folder_predictor(folder.path / "predicted", kind, 1, false);
  }
};

FloatMap mapped(FloatMap map, auto&& f) {
  for (float& value : map.values) value = f(value);
  return map;
}

// Zero errors and full shares, but for what floats round: epsilon each, squared or not.
Verdict perfect(const DepthMetrics& metrics, double allowed) {
  Verdict verdict;
  visit_metrics(metrics, [&](const std::string& name, double value) {
    const double best = name.starts_with("delta") ? 1 : 0;
    const double bound = name == "silog" ? 100 * allowed : allowed;
    if (!(std::abs(value - best) <= bound))
      verdict = {false, name + " is " + std::to_string(value)};
  });
  return verdict;
}

}  // namespace

TEST_CASE("evaluate: perfect predictions give zeros and ones") {
  Scenes scenes(3);
  for (int i = 0; i < 3; ++i) scenes.predict(std::to_string(i), scene(i));
  const EvalResult result =
      evaluate(scenes.manifests, scenes.from_folder(),
               {.kind = DepthKind::metric, .protocol = {.alignment = Alignment::none}});
  REQUIRE(result.compared.size() == 3);
  CHECK(result.skipped.empty());
  CHECK(perfect(result.depth, 1e-15));
  CHECK(perfect(result.disparity, 1e-15));
  CHECK(result.compared[2].image == "2.ppm");
  CHECK(result.compared[2].comparison.pixels == kHeight * kWidth);
}

TEST_CASE("evaluate: alignments undo the scale and shift that they are for") {
  const auto alignment = GENERATE(Alignment::least_squares_disparity, Alignment::median,
                                  Alignment::least_squares_depth);
  CAPTURE(name_of(alignment));
  EvalOptions options{.kind = DepthKind::metric, .protocol = {.alignment = alignment}};
  if (alignment == Alignment::least_squares_disparity) options.kind = DepthKind::relative;
  Scenes scenes(2);
  for (int i = 0; i < 2; ++i)
    scenes.predict(std::to_string(i), mapped(scene(i), [&](float z) {
                     if (alignment == Alignment::least_squares_disparity) return 7 / z + 40;
                     // Millimetres: far above what depths are limited to.
                     return alignment == Alignment::median ? 1000 * z : 1000 * z + 300;
                   }));
  const EvalResult result = evaluate(scenes.manifests, scenes.from_folder(options.kind), options);
  // 7 / z + 40 rounds by up to 2^-19, which is 2^-19 * z / 7 <= 1.4e-6 of the disparity 1 / z.
  CHECK(perfect(result.depth, 1e-5));
}

TEST_CASE("evaluate: a metric is the mean over images of what one image gives") {
  Scenes scenes(2);
  scenes.predict("0", mapped(scene(0), [](float z) { return 1.1f * z; }));
  scenes.predict("1", mapped(scene(1), [](float z) { return 1.3f * z; }));
  const EvalOptions options{.kind = DepthKind::metric, .protocol = {.alignment = Alignment::none}};
  const EvalResult result = evaluate(scenes.manifests, scenes.from_folder(), options);
  CHECK(result.depth.abs_rel == Approx(0.2).epsilon(1e-6));
  CHECK(result.depth.delta1 == 0.5);
  CHECK(result.disparity.abs_rel == Approx((1 - 1 / 1.1 + 1 - 1 / 1.3) / 2).epsilon(1e-6));
  EvalOptions first = options;
  first.limit = 1;
  CHECK(evaluate(scenes.manifests, scenes.from_folder(), first).depth.delta1 == 1);
}

TEST_CASE("evaluate: images that cannot be compared are counted and named") {
  Scenes scenes(2);
  for (const char* name : {"0", "unlabeled", "gone", "small", "far", "odd", "empty"})
    scenes.predict(name, scene(0));
  write_photo(scenes.folder.path / "unlabeled.ppm");
  scenes.line("unlabeled.ppm", "");
  scenes.line("gone.ppm", "gone.npy");
  scenes.add("small", scene(0, 20, 20));
  scenes.add("far", mapped(scene(0), [](float z) { return z + 100; }));
  scenes.add("empty", mapped(scene(0), [](float) { return 0.0f; }));
  const EvalResult result = evaluate(
      scenes.manifests, scenes.from_folder(),
      {.kind = DepthKind::metric,
       .protocol = {.alignment = Alignment::none, .max_depth_m = 80}});  // 1.ppm has no map
  REQUIRE(result.compared.size() == 1);
  CHECK(result.compared[0].image == "0.ppm");
  std::vector<std::string> skipped;
  for (const SkippedImage& image : result.skipped) {
    skipped.push_back(image.image + " " + name_of(image.reason));
    CHECK(!image.detail.empty());
  }
  CHECK(skipped == std::vector<std::string>{"1.ppm no_prediction", "unlabeled.ppm no_truth",
                                            "gone.ppm no_truth", "small.ppm wrong_size",
                                            "far.ppm no_valid_pixel", "empty.ppm no_truth"});
  CHECK_THAT(result.skipped[3].detail, Contains("20 x 30") && Contains("20 x 20"));
  CHECK(counts_text(result) ==
        "1 of 7 images compared; 6 skipped: 1 no_prediction, 3 no_truth, 1 no_valid_pixel, "
        "1 wrong_size");
}

TEST_CASE("evaluate: nothing to compare is an error, and so is a protocol that does not fit") {
  Scenes scenes(2);
  const EvalOptions options{.kind = DepthKind::metric};
  CHECK_THROWS_WITH(evaluate(scenes.manifests, scenes.from_folder(), options),
                    Contains("none of 2 images could be compared") && Contains("0.ppm"));
  CHECK_THROWS_WITH(evaluate(scenes.manifests, scenes.from_folder(),
                             {.protocol = {.alignment = Alignment::least_squares_depth}}),
                    Contains("--align disparity"));
  CHECK_THROWS_WITH(
      evaluate(scenes.manifests, scenes.from_folder(), {.protocol = {.max_depth_m = 0}}),
      Contains("0 <= min < max"));
  CHECK_THROWS_WITH(folder_predictor(scenes.folder.path / "none", DepthKind::metric, 1, false),
                    Contains("no such folder of predictions"));
}

TEST_CASE("evaluate: a model's maps are brought to the size of the truth") {
  Scenes scenes(3);
  DepthAnything model(DepthAnythingConfig{
      .encoder = {.channels = 64, .layers = 4, .heads = 1, .patch = 14, .hidden = 128},
      .head = {.features = 16, .out_channels = {16, 16, 16, 16}},
      .taps = {0, 1, 2, 3}});
  initialize(model, {.seed = 5, .layer_scale = 1});
  const EvalOptions options{.protocol = {.max_depth_m = 80}};
  const EvalResult result = evaluate(scenes.manifests, model_predictor(model, 28, false), options);
  REQUIRE(result.compared.size() == 3);
  // Stored maps of the same network are compared in the same way.
  for (int i = 0; i < 3; ++i) {
    const std::string name = std::to_string(i);
    const FloatMap map = predict_map(model, read_image(scenes.folder.path / (name + ".ppm")), 28);
    CHECK(map.height == 28);
    CHECK(map.width == 42);
    scenes.predict(name, resize_map(map, {kHeight, kWidth}, options.protocol.resize));
  }
  const EvalResult stored =
      evaluate(scenes.manifests, scenes.from_folder(DepthKind::relative), options);
  CHECK(stored.disparity == result.disparity);
  CHECK(stored.depth == result.depth);
}

TEST_CASE("predictions: side files give scale and offset, and must agree on the kind") {
  Scenes scenes(1);
  const fs::path side = scenes.folder.path / "predicted" / "0.json";
  scenes.predict("0", mapped(scene(0), [](float z) { return 256 * (z - 0.5f); }));
  std::ofstream(side) << R"({"kind": "depth", "files": [{"file": "0.npy", "scale": 0.00390625,
                            "offset": 0.5}]})";
  const EvalOptions options{.kind = DepthKind::metric, .protocol = {.alignment = Alignment::none}};
  // Taking 0.5 off and adding it rounds twice, to half an epsilon of up to 5 m each.
  CHECK(perfect(evaluate(scenes.manifests, scenes.from_folder(), options).depth, 1e-6));
  CHECK_THROWS_WITH(evaluate(scenes.manifests, scenes.from_folder(DepthKind::relative), {}),
                    Contains("--kind metric"));
  fs::remove(side);
  fs::remove(scenes.folder.path / "predicted" / "0.npy");
  write_pfm(scenes.folder.path / "predicted" / "0.pfm",
            mapped(scene(0), [](float z) { return 4 * z; }));
  const Predictor quarter =
      folder_predictor(scenes.folder.path / "predicted", DepthKind::metric, 0.25, false);
  CHECK(perfect(evaluate(scenes.manifests, quarter, options).depth, 1e-15));
}

TEST_CASE("predictions: two photos never share one map") {
  Scenes scenes(1);
  scenes.predict("0", scene(0));
  fs::create_directories(scenes.folder.path / "b");
  fs::copy_file(scenes.folder.path / "0.ppm", scenes.folder.path / "b" / "0.ppm");
  scenes.line("b/0.ppm", "0.npy");
  const EvalOptions options{.kind = DepthKind::metric, .protocol = {.alignment = Alignment::none}};
  const EvalResult result = evaluate(scenes.manifests, scenes.from_folder(), options);
  REQUIRE(result.skipped.size() == 1);
  CHECK_THAT(result.skipped[0].detail, Contains("is the map of 0.ppm already"));
  fs::create_directories(scenes.folder.path / "predicted" / "b");
  scenes.predict("b/0", scene(0));
  CHECK(evaluate(scenes.manifests, scenes.from_folder(), options).skipped.empty());
}

TEST_CASE("predictions: maps come from their folder, wherever the photo lies") {
  const ScratchFolder elsewhere("evaluate-photos");
  write_photo(elsewhere.path / "0.ppm");
  write_npy(elsewhere.path / "0.npy", scene(0));  // the truth lies beside the photo
  for (const fs::path& photo :
       {elsewhere.path / "0.ppm", fs::path("..") / elsewhere.path.filename() / "0.ppm"}) {
    CAPTURE(photo.string());
    Scenes moved(0);
    moved.line(photo.string(), (elsewhere.path / "0.npy").string());
    moved.predict("1", scene(1));
    const EvalOptions options{.kind = DepthKind::metric,
                              .protocol = {.alignment = Alignment::none}};
    CHECK_THROWS_WITH(evaluate(moved.manifests, moved.from_folder(), options),
                      Contains("none of 1 images could be compared"));
    moved.predict("0", scene(0));
    CHECK(perfect(evaluate(moved.manifests, moved.from_folder(), options).depth, 1e-15));
  }
}

TEST_CASE("result: the files tell the protocol, the counts and every image") {
  Scenes scenes(2);
  scenes.predict("0", scene(0));
  const EvalOptions options{.kind = DepthKind::metric, .protocol = {.alignment = Alignment::none}};
  const EvalResult result = evaluate(scenes.manifests, scenes.from_folder(), options);
  EvalSource source;
  source.predictions = "maps";
  source.manifests = scenes.manifests;
  const fs::path out = scenes.folder.path / "made" / "out";
  write_result(out, result_json(result, source, options), per_image_csv(result));
  const auto json = nlohmann::json::parse(read_text(out / "result.json"));
  CHECK(json["protocol"]["align"] == "none");
  CHECK(json["protocol"]["max_depth_m"].is_null());
  CHECK(json["images"] == 1);
  CHECK(json["skipped"]["reasons"]["no_prediction"] == 1);
  CHECK(json["skipped"]["list"][0]["image"] == "1.ppm");
  CHECK(json["metrics"]["depth"]["delta1"] == 1.0);
  CHECK(json["manifests"][0]["xxh3_128"].get<std::string>().size() == 32);
  const std::string csv = read_text(out / "per_image.csv");
  CHECK_THAT(csv, Catch::StartsWith("image,dataset,pixels,scale,shift,disparity_abs_rel,"));
  CHECK_THAT(csv, Contains("\n0.ppm,\"made, here\",600,1,0,"));
}

}  // namespace fathom
