#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/checkpoint/names.h"
#include "models/depth_kind.h"

namespace fathom {

enum class ModelVersion { unknown, v1, v2 };
std::string_view name_of(ModelVersion version);
std::string_view name_of(DepthKind kind);

/// What the user says about a checkpoint; a flag beats everything else.
struct ModelFlags {
  std::optional<ModelVersion> version = {};  // --model-version v1|v2
  std::optional<DepthKind> kind = {};        // --kind relative|metric
  std::optional<double> max_depth_m = {};    // --max-depth
};

/// What a checkpoint holds: the configuration that its tensors imply, and what they cannot tell
/// (version, kind, maximal depth) together with where it was found: "flag", "metadata",
/// "config.json", "file name", "tensor names", or "" when unknown.
struct ModelDescription {
  std::string size;  // "S", "B", "L", "g" or "custom"
  int64_t channels = 0, layers = 0, heads = 0;
  int64_t hidden = 0;  // width inside the MLP
  bool swiglu = false;
  int64_t patch = 0;
  int64_t positions = 0;  // rows of the position table without the class token
  int64_t registers = 0;
  bool has_mask_token = false;

  bool has_head = false;
  int64_t features = 0;  // F
  std::array<int64_t, 4> out_channels{};
  int64_t head_hidden = 0;  // channels between the last two convolutions
  bool zoe_head = false;    // the V1 metric model: a ZoeDepth head on top of the DPT head

  ModelVersion version = ModelVersion::unknown;
  DepthKind kind = DepthKind::unknown;
  double max_depth_m = 0;     // of a metric model; 0: unknown
  std::vector<int64_t> taps;  // 0-based, when the metadata or config.json state them
  std::string version_source, kind_source, max_depth_source;

  int64_t parameters = 0, tensors = 0;
};

/// Describes the model of a mapped archive; any widths that hang together are accepted.
/// path:   the path as the user gave it; its file or folder name may tell the version.
/// Throws  Error when there is no DINOv2 encoder or its tensors do not hang together.
ModelDescription describe_model(const Archive& archive, const NameMap& names,
                                const std::filesystem::path& path, const ModelFlags& flags = {});

/// Throws Error that asks for the flags unless version, kind and maximal depth are known. A
/// backbone alone needs none of them.
void check_known(const ModelDescription& model, const Archive& archive);

/// What a file or folder name says, if it is one of the published ones (and small variations).
struct NameHint {
  ModelVersion version = ModelVersion::unknown;
  DepthKind kind = DepthKind::unknown;
  double max_depth_m = 0;
};
NameHint hint_from_path(const std::filesystem::path& path);

}  // namespace fathom
