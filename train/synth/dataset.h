#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "train/synth/render.h"

namespace fathom::synth {

/// Which scenes to write, and where.
struct SceneSet {
  std::filesystem::path folder;
  SynthOptions scenes = {};
  uint64_t first = 0;  // number of the first scene
  int64_t count = 0;
  std::string split = "train";
};

struct SceneSetReport {
  int64_t written = 0, count = 0;
  double seconds = 0;
  bool stopped = false;
};

struct SceneSetHooks {
  const std::atomic<bool>* stop = nullptr;
  std::function<void(const SceneSetReport&)> on_progress = {};
};

/// Metres of one step of the depth files: 4 mm.
inline constexpr double kStoredDepthM = 1.0 / 256;
/// What the depth files hold where the sky is.
inline constexpr uint16_t kStoredSky = 65535;

/// Writes FOLDER/rgb/NUMBER.png and FOLDER/depth/NUMBER.png, and at last two manifests
/// (train/data/manifest.h): manifest.jsonl of both, and unlabeled.jsonl of the photos alone. The
/// files depend on the set alone, not on the number of threads. Throws Error when the folder holds
/// a set already, or a file cannot be written.
SceneSetReport write_scenes(const SceneSet& set, const SceneSetHooks& hooks = {});

}  // namespace fathom::synth
