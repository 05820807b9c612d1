#pragma once

#include <filesystem>
#include <string>

#include "models/checkpoint/detect.h"
#include "models/depth_anything.h"

namespace fathom {

/// A model with its weights in f32, and what is known about them.
struct LoadedModel {
  DepthAnything model;
  ModelDescription description;
  int version;               // 1 or 2
  std::string title;         // "Depth Anything V2 S", "Depth Anything V2 S metric, up to 20 m"
  std::string weights_hash;  // see hash_of
};

/// Reads a Depth Anything checkpoint of any format. Strict: every tensor of the model must be there
/// with its shape, and no other.
/// Throws Error when the file is not one, or when neither it nor the flags tell version and kind.
LoadedModel load_model(const std::filesystem::path& path, const ModelFlags& flags = {});

/// Reads the encoder alone, from a DINOv2 or a Depth Anything checkpoint.
Dinov2 load_encoder(const std::filesystem::path& path);

/// The configuration that a description implies. version and kind must be known.
DepthAnythingConfig config_of(const ModelDescription& description);

/// "Depth Anything V2 S metric, up to 20 m".
std::string title_of(const ModelDescription& description);

/// XXH3, 128 bits, in hexadecimal, of the file (as `xxhsum -H128` prints it); of several shards, of
/// their hashes joined.
std::string hash_of(const Archive& archive);

}  // namespace fathom
