#include "tests/train/stages/made_scenes.h"

#include <cmath>
#include <cstdio>
#include <fstream>

#include "core/philox.h"
#include "core/png.h"

namespace fathom {

namespace fs = std::filesystem;

static void make_scene(const fs::path& folder, const std::string& name, int size, uint64_t key) {
  uint64_t counter = 0;
  const auto uniform = [&](double low, double high) {
    return low + (high - low) * double(uniform_from(philox(key, counter++).word[0]));
  };
  Image8 photo{.height = size, .width = size};
  Image16 depth_mm{.height = size, .width = size};
  const double slope_x = uniform(-1, 1), slope_y = uniform(-1, 1);
  struct Box {
    double x, y, w, h, depth_m, r, g, b;
  };
  std::vector<Box> boxes;
  for (int i = 0; i < 3; ++i)
    boxes.push_back({uniform(0, 0.7), uniform(0, 0.7), uniform(0.2, 0.5), uniform(0.2, 0.5),
                     uniform(1, 3), uniform(0.6, 1), uniform(0.6, 1), uniform(0.6, 1)});
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      const double u = double(x) / size, v = double(y) / size;
      double depth_m = 6 + slope_x * (u - 0.5) + slope_y * (v - 0.5), r = 0.8, g = 0.8, b = 0.8;
      for (const Box& box : boxes)
        if (u > box.x && u < box.x + box.w && v > box.y && v < box.y + box.h &&
            box.depth_m < depth_m)
          depth_m = box.depth_m, r = box.r, g = box.g, b = box.b;
      const double light = 250 / depth_m;
      for (const double color : {r, g, b})
        photo.pixels.push_back(uint8_t(std::min(255.0, color * light + uniform(0, 4))));
      depth_mm.pixels.push_back(uint16_t(std::lround(1000 * depth_m)));
    }
  write_png(folder / (name + ".png"), photo);
  write_png(folder / (name + "-depth.png"), depth_mm);
}

void make_scenes(const fs::path& folder, int count, int size, unsigned seed) {
  fs::create_directories(folder);
  std::ofstream labeled(folder / "labeled.jsonl"), unlabeled(folder / "unlabeled.jsonl");
  for (int i = 0; i < count; ++i) {
    char name[16];
    std::snprintf(name, sizeof name, "%03d", i);
    make_scene(folder, name, size, uint64_t(seed) << 32 | uint64_t(i));
    labeled << "{\"image\": \"" << name << ".png\", \"depth\": \"" << name
            << "-depth.png\", \"kind\": \"depth\", \"scale\": 1, \"unit\": \"mm\"}\n";
    unlabeled << "{\"image\": \"" << name << ".png\"}\n";
  }
}

TrainConfig scene_config(const fs::path& folder, int size) {
  TrainConfig config = parse_config(R"({
    "seed": 3,
    "device": "cpu",
    "model": {"size": "custom", "channels": 64, "layers": 4, "hidden": 128, "features": 16,
              "out_channels": [16, 16, 16, 16], "layer_scale": 1},
    "teacher": {"batch": 4, "steps": 6},
    "student": {"labeled_batch": 2, "unlabeled_batch": 4, "steps": 6},
    "metric": {"batch": 4, "steps": 6, "max_depth_m": 10},
    "optimizer": {"lr": 1e-3, "decoder_factor": 2, "weight_decay": 0.01, "ema": 0.9},
    "schedule": {"kind": "cosine"},
    "eval": {"max_depth_m": 20, "panels": 2},
    "logging": {"every_steps": 2},
    "checkpoint": {"every_steps": 2, "keep": 2},
    "data": {"queue_mib": 8}
  })",
                                    "scene_config");
  config.data.size = size;
  config.data.labeled = {(folder / "labeled.jsonl").string()};
  config.data.unlabeled = {(folder / "unlabeled.jsonl").string()};
  config.data.validation = {(folder / "labeled.jsonl").string()};
  config.label.out = (folder / "pseudo").string();
  return config;
}

}  // namespace fathom
