#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "train/config.h"

namespace fathom {

struct LabelProgress {
  int64_t images = 0;  // of all manifests
  int64_t written = 0, kept = 0, failed = 0;
  double seconds = 0;
};

struct LabelReport : LabelProgress {
  bool stopped = false;
  std::string manifest;               // of what was labeled
  std::vector<std::string> failures;  // "a.jpg: why"
};

struct LabelOptions {
  const std::atomic<bool>* stop = nullptr;
  std::function<void(const LabelProgress&)> on_progress = {};
};

/// Predicts the disparity of every image of data.unlabeled with the label section's model.
///
/// Writes OUT/maps/NUMBER.png, 16 bits, whose ends are the smallest and the largest value of the
/// map; beside it NUMBER.json with these two, the sum of the PNG, the image and what made it; and
/// OUT/manifest.jsonl, which the student stage reads. A map whose side file names the same image,
/// model and settings, and whose sum holds, is kept. Images that cannot be read are named, left
/// out, and end the work above data.max_bad_rate. Source: Yang et al., "Depth Anything" (2024),
/// section 3.2; the flipped average from LiheYoung, ST-PlusPlus, main.py.
LabelReport label_images(const TrainConfig& config, const LabelOptions& options = {});

}  // namespace fathom
