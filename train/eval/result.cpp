#include "train/eval/result.h"

#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/file.h"
#include "core/hash.h"
#include "core/version.h"

namespace fathom {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const DepthMetrics& metrics) {
  Json json;
  visit_metrics(metrics, [&](const char* name, double value) { json[name] = value; });
  return json;
}

// JSON has no infinity: null is no limit.
Json json_of(const EvalProtocol& protocol) {
  return {{"text", describe(protocol)},
          {"align", name_of(protocol.alignment)},
          {"min_depth_m", protocol.min_depth_m},
          {"max_depth_m",
           std::isinf(protocol.max_depth_m) ? Json(nullptr) : Json(protocol.max_depth_m)},
          {"crop", name_of(protocol.crop)},
          {"kb_crop", protocol.kb_crop},
          {"resize", name_of(protocol.resize)}};
}

Json json_of(const EvalSource& source) {
  Json manifests = Json::array();
  for (const auto& path : source.manifests)
    manifests.push_back({{"file", path.string()}, {"xxh3_128", hash_of_file(path)}});
  Json json{{"manifests", manifests}};
  if (!source.predictions.empty()) {
    json["predictions"] = source.predictions;
  } else {
    json["model"] = source.model;
    json["weights"] = {{"file", source.weights}, {"xxh3_128", source.weights_hash}};
    json["size"] = source.size;
    std::ostringstream device;
    device << source.device;
    json["device"] = device.str();
    json["dtype"] = std::string(name_of(source.dtype));
  }
  return json;
}

std::map<std::string, int64_t> reasons_of(const EvalResult& result) {
  std::map<std::string, int64_t> reasons;
  for (const SkippedImage& skipped : result.skipped) ++reasons[name_of(skipped.reason)];
  return reasons;
}

std::string number(double value) {  // every bit, as JSON has it
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

// Source: RFC 4180, section 2.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::string result_json(const EvalResult& result, const EvalSource& source,
                        const EvalOptions& options) {
  Json skipped = Json::array();
  for (const SkippedImage& image : result.skipped)
    skipped.push_back(
        {{"image", image.image}, {"reason", name_of(image.reason)}, {"detail", image.detail}});
  int64_t pixels = 0;
  for (const ImageResult& image : result.compared) pixels += image.comparison.pixels;
  Json json{{"fathom", version() + " (" + revision() + ")"}};
  json.update(json_of(source));
  json["split"] = options.split.empty() ? Json(nullptr) : Json(options.split);
  json["limit"] = options.limit > 0 ? Json(options.limit) : Json(nullptr);
  json["kind"] = options.kind == DepthKind::metric ? "metric" : "relative";
  json["protocol"] = json_of(options.protocol);
  json["images"] = result.compared.size();
  json["pixels"] = pixels;
  json["skipped"] = {
      {"images", result.skipped.size()}, {"reasons", Json(reasons_of(result))}, {"list", skipped}};
  json["metrics"] = {{"disparity", json_of(result.disparity)}, {"depth", json_of(result.depth)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string per_image_csv(const EvalResult& result) {
  std::string csv = "image,dataset,pixels,scale,shift";
  for (const char* space : {"disparity", "depth"})
    visit_metrics(result.depth,
                  [&](const char* name, double) { csv += std::string(",") + space + "_" + name; });
  csv += "\n";
  for (const ImageResult& image : result.compared) {
    const Comparison& c = image.comparison;
    csv += csv_field(image.image) + "," + csv_field(image.dataset) + "," +
           std::to_string(c.pixels) + "," + number(c.fit.scale) + "," + number(c.fit.shift);
    for (const DepthMetrics* metrics : {&c.disparity, &c.depth})
      visit_metrics(*metrics, [&](const char*, double value) { csv += "," + number(value); });
    csv += "\n";
  }
  return csv;
}

std::string metrics_table(const EvalResult& result) {
  std::vector<double> disparity;
  visit_metrics(result.disparity, [&](const char*, double value) { disparity.push_back(value); });
  std::string table = "            disparity      depth\n";
  size_t i = 0;
  visit_metrics(result.depth, [&](const char* name, double depth) {
    char line[80];
    std::snprintf(line, sizeof line, "%-10s %10.4f %10.4f\n", name, disparity[i++], depth);
    table += line;
  });
  return table;
}

std::string counts_text(const EvalResult& result) {
  const size_t compared = result.compared.size(), skipped = result.skipped.size();
  std::string text =
      std::to_string(compared) + " of " + std::to_string(compared + skipped) + " images compared";
  std::string separator = "; " + std::to_string(skipped) + " skipped: ";
  for (const auto& [reason, count] : reasons_of(result)) {
    text += separator + std::to_string(count) + " " + reason;
    separator = ", ";
  }
  return text;
}

void write_result(const std::filesystem::path& folder, const std::string& json,
                  const std::string& csv) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, folder.string(), ": cannot create the folder: ", error.message());
  write_text(folder / "per_image.csv", csv);
  write_text(folder / "result.json", json);
}

}  // namespace fathom
