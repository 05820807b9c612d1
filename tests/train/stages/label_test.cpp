#include "train/stages/label.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/png.h"
#include "models/load.h"
#include "models/preprocess.h"
#include "models/save.h"
#include "tests/scratch.h"
#include "tests/testing.h"
#include "tests/train/stages/made_scenes.h"
#include "train/stages/model.h"

namespace fathom {

namespace fs = std::filesystem;
using Catch::Contains;

// A model of random weights is teacher enough here.
static TrainConfig labeling(const fs::path& folder, DepthKind kind = DepthKind::relative) {
  TrainConfig config = scene_config(folder);
  config.label.weights = (folder / "teacher.safetensors").string();
  save_model(config.label.weights, starting_model(config, kind), 1);
  return config;
}

static nlohmann::json side_of(const fs::path& folder, int number) {
  char name[40];
  std::snprintf(name, sizeof name, "pseudo/maps/%08d.json", number);
  return nlohmann::json::parse(read_text(folder / name));
}

static std::vector<float> predicted(const TrainConfig& config, const fs::path& photo, bool mirror) {
  const NoGrad no_grad;
  const LoadedModel loaded = load_model(config.label.weights);
  Image8 image = read_image(photo);
  if (mirror)
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width / 2; ++x)
        for (int c = 0; c < 3; ++c)
          std::swap(image.pixels[size_t((y * image.width + x) * 3 + c)],
                    image.pixels[size_t((y * image.width + image.width - 1 - x) * 3 + c)]);
  const int64_t S = config.data.size;
  const std::vector<float> input = preprocess(image, {S, S});
  Tensor x = empty({1, S, S, 3});
  std::copy(input.begin(), input.end(), x.data<float>());
  const Tensor y = loaded.model(x);
  std::vector<float> map(y.data<float>(), y.data<float>() + y.numel());
  if (mirror)
    for (int64_t row = 0; row < S; ++row)
      std::reverse(map.begin() + row * S, map.begin() + (row + 1) * S);
  return map;
}

TEST_CASE("label: the 16-bit map and its side file give the prediction back") {
  const ScratchFolder scratch("label");
  make_scenes(scratch.path, 3);
  TrainConfig config = labeling(scratch.path);
  config.label.flip = GENERATE(false, true);
  config.label.batch = 2;
  const LabelReport report = label_images(config);
  CHECK(report.written == 3);
  CHECK(report.kept == 0);
  for (const int i : {0, 2}) {
    const auto side = side_of(scratch.path, i);
    CHECK(side["image"] == "../00" + std::to_string(i) + ".png");
    const double low = side["min"], high = side["max"];
    const fs::path photo = scratch.path / ("00" + std::to_string(i) + ".png");
    std::vector<float> expected = predicted(config, photo, false);
    if (config.label.flip) {
      const std::vector<float> other = predicted(config, photo, true);
      for (size_t p = 0; p < other.size(); ++p) expected[p] = (expected[p] + other[p]) / 2;
    }
    const Image16 map =
        read_image16(scratch.path / "pseudo" / "maps" / ("0000000" + std::to_string(i) + ".png"));
    REQUIRE(map.pixels.size() == expected.size());
    // Half a step of the 65535, and what packed weights may round otherwise: a few epsilon.
    const double allowed = 0.51 * (high - low) / 65535 + 1e-5 * std::abs(high);
    for (size_t p = 0; p < expected.size(); ++p)
      REQUIRE(std::abs(low + (high - low) * map.pixels[p] / 65535 - expected[p]) <= allowed);
  }
}

TEST_CASE("label: what is there and whole is kept, everything else is made again") {
  const ScratchFolder scratch("label");
  make_scenes(scratch.path, 4);
  TrainConfig config = labeling(scratch.path);
  label_images(config);
  const fs::path maps = scratch.path / "pseudo" / "maps";
  const std::string manifest = read_text(scratch.path / "pseudo" / "manifest.jsonl");
  const std::string second = read_text(maps / "00000001.png");
  CHECK(label_images(config).kept == 4);
  fs::remove(maps / "00000000.json");
  fs::resize_file(maps / "00000001.png", 100);
  std::ofstream(maps / "00000002.json") << "{\"torn";
  const LabelReport again = label_images(config);
  CHECK(again.kept == 1);
  CHECK(again.written == 3);
  CHECK(read_text(maps / "00000001.png") == second);
  CHECK(read_text(scratch.path / "pseudo" / "manifest.jsonl") == manifest);
  config.label.flip = true;  // other settings, other maps
  CHECK(label_images(config).written == 4);
}

TEST_CASE("label: a stopped run goes on, and has no manifest before it is done") {
  const ScratchFolder scratch("label");
  make_scenes(scratch.path, 6);
  const TrainConfig config = labeling(scratch.path);
  std::atomic<bool> stop{false};
  const LabelReport first = label_images(
      config,
      {.stop = &stop, .on_progress = [&](const LabelProgress& p) { stop = p.written >= 2; }});
  CHECK(first.stopped);
  CHECK(first.written < 6);
  CHECK(!fs::exists(first.manifest));
  const LabelReport second = label_images(config);
  CHECK(second.kept == first.written);
  CHECK(second.kept + second.written == 6);
  CHECK(fs::exists(second.manifest));
}

TEST_CASE("label: unreadable images are named and left out, and too many end the work") {
  const ScratchFolder scratch("label");
  make_scenes(scratch.path, 4);
  TrainConfig config = labeling(scratch.path);
  fs::resize_file(scratch.path / "002.png", 200);
  const LabelReport report = label_images(config);
  CHECK(report.failed == 1);
  REQUIRE(report.failures.size() == 1);
  CHECK_THAT(report.failures[0], Contains("002.png"));
  CHECK(report.written == 3);
  CHECK_THAT(read_text(report.manifest), !Contains("002.png"));
  fs::resize_file(scratch.path / "003.png", 200);
  fs::remove_all(scratch.path / "pseudo");  // what is labeled would be kept
  CHECK_THROWS_WITH(label_images(config),
                    Contains("2 of 4 images cannot be read") && Contains("data.max_bad_rate"));
}

TEST_CASE("label: what is missing is said in one line") {
  const ScratchFolder scratch("label");
  make_scenes(scratch.path, 1);
  const TrainConfig whole = labeling(scratch.path, DepthKind::metric);
  CHECK_THROWS_WITH(label_images(whole), Contains("is a metric model"));
  TrainConfig config = whole;
  config.label.weights.clear();
  CHECK_THROWS_WITH(label_images(config), Contains("label.weights is empty"));
  config = whole;
  config.label.out.clear();
  CHECK_THROWS_WITH(label_images(config), Contains("label.out is empty"));
  config = whole;
  config.data.unlabeled.clear();
  CHECK_THROWS_WITH(label_images(config), Contains("data.unlabeled is empty"));
}

}  // namespace fathom
