#include "train/eval/predictions.h"

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "train/data/map_file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// The image's path under the folder of predictions, without extension. Of an archive's member its
// name within counts; of one outside of the manifest's folder, the name alone.
fs::path stem_of(const std::string& image) {
  const size_t tar = image.rfind(".tar:");
  fs::path path = tar == image.npos ? image : image.substr(tar + 5);
  path = path.lexically_normal();
  if (path.is_absolute() || path.empty() || *path.begin() == "..") path = path.filename();
  return path.replace_extension();
}

// Where the map of a stem lies; empty if nowhere.
fs::path find_map(const fs::path& base) {
  for (const char* ending : {".npy", ".pfm", "_depth.png", ".png"}) {
    fs::path path = base;
    path += ending;
    if (fs::is_regular_file(path)) return path;
  }
  return {};
}

// What the numbers of a map file mean, if `fathom infer` wrote it.
struct StoredAs {
  double scale, offset = 0;
};

StoredAs stored_as(const fs::path& map, const fs::path& base, DepthKind kind, double scale) {
  fs::path side = base;
  side += ".json";
  if (!fs::is_regular_file(side)) return {scale};
  const Json json = Json::parse(read_text(side), nullptr, false);
  check(json.is_object(), side.string(), ": not the side file of a map");
  const bool metric = kind == DepthKind::metric;
  if (const auto stated = json.find("kind"); stated != json.end())
    check(*stated == (metric ? "depth" : "disparity"), side.string(), ": the map is of kind ",
          stated->dump(), "; use --kind ", metric ? "relative" : "metric");
  const auto files = json.find("files");
  if (files == json.end() || !files->is_array()) return {scale};
  for (const Json& file : *files)
    if (const auto number =
            [&](const char* key) { return file.contains(key) && file[key].is_number(); };
        file.is_object() && file.contains("file") && file["file"] == map.filename().string() &&
        number("scale"))
      return {file["scale"], number("offset") ? double(file["offset"]) : 0.0};
  return {scale};
}

}  // namespace

Predictor folder_predictor(const fs::path& folder, DepthKind kind, double scale, bool kb_crop) {
  check(fs::is_directory(folder), folder.string(), ": there is no such folder of predictions");
  // Two photos of one name in different folders must not be compared with the same map.
  const auto taken = std::make_shared<std::map<fs::path, std::string>>();
  return [=](const FileStore&, const ManifestEntry& entry) {
    fs::path base = folder / stem_of(entry.image);
    fs::path path = find_map(base);
    if (path.empty()) path = find_map(base = folder / stem_of(entry.image).filename());
    check(!path.empty(), entry.image, ": ", folder.string(), " has no ",
          stem_of(entry.image).filename().string(), ".npy, .pfm, _depth.png or .png");
    const auto& owner = taken->try_emplace(path, entry.image).first->second;
    check(owner == entry.image, entry.image, ": ", path.string(), " is the map of ", owner,
          " already; keep the manifest's folders in the folder of predictions");
    const StoredAs stored = stored_as(path, base, kind, scale);
    const MappedFile file(path);
    FloatMap map = read_map(file.bytes(), path.string());
    for (float& value : map.values) value = float(stored.scale * double(value) + stored.offset);
    if (kb_crop) map = cropped(map, kb_crop_box({map.height, map.width}));
    const ImageSize covers{map.height, map.width};
    return Prediction{std::move(map), covers};
  };
}

}  // namespace fathom
