#include "train/infer/outputs.h"

#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/npy.h"
#include "core/pfm.h"
#include "core/png.h"
#include "core/version.h"

namespace fathom {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

OutputFormat output_format(const std::string& name) {
  if (name == "png16") return OutputFormat::png16;
  if (name == "npy") return OutputFormat::npy;
  if (name == "pfm") return OutputFormat::pfm;
  if (name == "color") return OutputFormat::color;
  if (name == "side") return OutputFormat::side;
  fail("unknown output format '", name, "'; known: png16, npy, pfm, color, side");
}

static ColorMap default_colors(const OutputSource& source) {
  if (source.kind == DepthKind::metric) return ColorMap::spectral;
  return source.version == 1 ? ColorMap::inferno : ColorMap::spectral_r;
}

static const char* name_of(ColorMap colors) {
  switch (colors) {
    case ColorMap::inferno: return "inferno";
    case ColorMap::spectral_r: return "spectral_r";
    case ColorMap::spectral: return "spectral";
  }
  return "unknown";
}

// Metric depth has a fixed scale, so that files can be compared; relative maps fill the range.
static StoredScale scale_of(const OutputSource& source, const FloatMap& depth) {
  if (source.kind == DepthKind::relative) return full_range(depth);
  return source.max_depth_m <= 65.535 ? kMillimetres : kKittiDepth;
}

// The floats of a map that cannot be finite are the sign of a broken checkpoint.
static void check_finite(const FloatMap& depth, const fs::path& photo) {
  int64_t bad = 0;
  for (const float v : depth.values) bad += !std::isfinite(v);
  check(bad == 0, photo.string(), ": ", bad, " of ", depth.values.size(),
        " depth values are not finite; are these the right weights, and is the dtype wide enough?");
}

std::vector<fs::path> write_outputs(const OutputOptions& options, const OutputSource& source,
                                    const fs::path& stem, const fs::path& photo_path,
                                    const Image8& photo, ImageSize network, const FloatMap& depth) {
  check_finite(depth, photo_path);
  const bool metric = source.kind == DepthKind::metric;
  const Range range = finite_range(depth);
  const ColorMap colors = options.colors.value_or(default_colors(source));
  const fs::path base = options.folder / stem;
  if (base.has_parent_path()) {
    std::error_code error;
    fs::create_directories(base.parent_path(), error);
    check(!error, base.parent_path().string(), ": cannot create the folder: ", error.message());
  }

  std::vector<fs::path> written;
  Json files = Json::array();
  const auto target = [&](const char* suffix, Json about) {
    fs::path path = base;
    path += suffix;
    Json entry{{"file", path.filename().string()}};
    entry.update(about);
    files.push_back(entry);
    written.push_back(path);
    return path;
  };
  for (const OutputFormat format : options.formats) {
    switch (format) {
      case OutputFormat::png16: {
        const StoredScale scale = scale_of(source, depth);
        const StoredMap stored = store(depth, scale);
        write_png(target("_depth.png", {{"format", "png16"},
                                        {"scale", scale.scale},
                                        {"offset", scale.offset},
                                        {"clipped", stored.clipped}}),
                  stored.image);
        break;
      }
      case OutputFormat::npy: write_npy(target(".npy", {{"format", "npy"}}), depth); break;
      case OutputFormat::pfm: write_pfm(target(".pfm", {{"format", "pfm"}}), depth); break;
      case OutputFormat::color:
      case OutputFormat::side: {
        const Image8 picture = colorize(depth, range.low, range.high, colors);
        const bool side = format == OutputFormat::side;
        const fs::path path =
            target(side ? "_side.png" : "_color.png", {{"format", side ? "side" : "color"},
                                                       {"colormap", name_of(colors)},
                                                       {"low", range.low},
                                                       {"high", range.high}});
        write_png(path, side ? side_by_side(photo, picture) : picture);
        break;
      }
    }
  }

  const Json sidecar{
      {"photo", photo_path.filename().string()},
      {"height", photo.height},
      {"width", photo.width},
      {"kind", metric ? "depth" : "disparity"},
      {"unit", metric ? Json("metres") : Json(nullptr)},
      {"direction", metric ? "larger is farther" : "larger is nearer"},
      {"meaning", metric ? "distance along the optical axis"
                         : "inverse depth up to an unknown scale and shift"},
      {"min", range.low},
      {"max", range.high},
      {"value", "offset + scale * stored for png16, the number itself for npy and pfm"},
      {"files", files},
      {"model", source.model},
      {"max_depth_m", metric ? Json(source.max_depth_m) : Json(nullptr)},
      {"weights",
       {{"file", fs::path(source.weights_path).filename().string()},
        {"xxh3_128", source.weights_hash}}},
      {"network_input", {{"height", network.height}, {"width", network.width}}},
      {"dtype", source.dtype},
      {"device", source.device},
      {"fathom", version() + " (" + revision() + ")"}};
  fs::path path = base;
  path += ".json";
  AtomicFile file(path);
  file.write(sidecar.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  file.commit();
  written.push_back(path);
  return written;
}

}  // namespace fathom
