#pragma once

#include <filesystem>
#include <string>

#include "train/config.h"

namespace fathom {

/// Writes COUNT small scenes: FOLDER/NUMBER.png, photos of boxes before a slanted wall, brighter
/// where they are near, and FOLDER/NUMBER-depth.png in millimetres, with a manifest of both,
/// FOLDER/labeled.jsonl, and one of the photos alone, FOLDER/unlabeled.jsonl.
void make_scenes(const std::filesystem::path& folder, int count, int size = 56, unsigned seed = 1);

/// The configuration of a model of 0.2 million parameters that learns them in seconds.
TrainConfig scene_config(const std::filesystem::path& folder, int size = 56);

}  // namespace fathom
