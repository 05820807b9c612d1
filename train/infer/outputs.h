#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/colormap.h"
#include "core/float_map.h"
#include "core/image.h"
#include "models/depth_anything.h"

namespace fathom {

/// png16: 16-bit grey PNG. npy, pfm: the floats themselves. color: colour PNG. side: the photo and
/// the colour map side by side.
enum class OutputFormat { png16, npy, pfm, color, side };

/// The format of that name; throws Error listing the known ones.
OutputFormat output_format(const std::string& name);

/// What the sidecar says about where a map comes from.
struct OutputSource {
  std::string model;  // "Depth Anything V2 S"
  int version = 2;
  DepthKind kind = DepthKind::relative;
  double max_depth_m = 1;
  std::string weights_path;
  std::string weights_hash;  // XXH3 128 of the file
  std::string dtype, device;
};

struct OutputOptions {
  std::filesystem::path folder;
  std::vector<OutputFormat> formats;
  std::optional<ColorMap> colors;  // default: the reference's choice for the model
};

/// Writes one result in every format, and <stem>.json beside it, which says what the numbers mean.
/// depth has the photo's size. Files appear whole or not at all; the sidecar comes last.
/// Returns the paths written.
std::vector<std::filesystem::path> write_outputs(const OutputOptions& options,
                                                 const OutputSource& source,
                                                 const std::filesystem::path& stem,
                                                 const std::filesystem::path& photo_path,
                                                 const Image8& photo, ImageSize network,
                                                 const FloatMap& depth);

}  // namespace fathom
