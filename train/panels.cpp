#include "train/panels.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/colormap.h"
#include "core/file.h"
#include "core/png.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kMaxWidth = 320;       // of the photo; panels are for looking at
constexpr float kWorstError = 0.5f;  // and above: the brightest colour

bool known(float disparity) { return std::isfinite(disparity) && disparity > 0; }

// The part of 0..1 below which `share` of the known values lie; a few outliers decide nothing.
float quantile(const FloatMap& map, double share) {
  std::vector<float> values;
  std::ranges::copy_if(map.values, std::back_inserter(values), known);
  if (values.empty()) return 0;
  const auto at = values.begin() + int64_t(share * double(values.size() - 1));
  std::ranges::nth_element(values, at);
  return *at;
}

void blacken_unknown(const FloatMap& truth, Image8& image) {
  for (size_t i = 0; i < truth.values.size(); ++i)
    if (!known(truth.values[i])) std::fill_n(image.pixels.begin() + int64_t(3 * i), 3, uint8_t(0));
}

FloatMap error_of(const FloatMap& prediction, const FloatMap& truth) {
  FloatMap error = truth;
  for (size_t i = 0; i < error.values.size(); ++i) {
    const float t = truth.values[i];
    error.values[i] = known(t) ? std::abs(prediction.values[i] - t) / t : 0;
  }
  return error;
}

// Whole pixels left out, as large pictures need no better here.
Image8 thumbnail(const Image8& image) {
  const int step = (image.width + kMaxWidth - 1) / kMaxWidth;
  if (step <= 1) return image;
  Image8 small{.height = image.height / step, .width = image.width / step};
  for (int y = 0; y < small.height; ++y)
    for (int x = 0; x < small.width; ++x) {
      const size_t from = 3 * (size_t(y) * size_t(step) * size_t(image.width) + size_t(x * step));
      small.pixels.insert(small.pixels.end(), image.pixels.begin() + int64_t(from),
                          image.pixels.begin() + int64_t(from) + 3);
    }
  return small;
}

}  // namespace

fs::path panel_path(const fs::path& folder, size_t number, const std::string& picture) {
  char name[16];
  std::snprintf(name, sizeof name, "%02zu-", number);
  return folder / (name + picture + ".png");
}

void write_panels(const fs::path& folder, const std::vector<Panel>& panels) {
  if (!can_write_png()) return;  // the report then has no pictures
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  fs::remove(folder / "panels.json", ignored);
  Json titles = Json::array();
  for (size_t i = 0; i < panels.size(); ++i) {
    const Panel& p = panels[i];
    const float low = quantile(p.truth, 0.01),
                high = std::max(quantile(p.truth, 0.99), low + 1e-9f);
    Image8 truth = colorize(p.truth, low, high, ColorMap::inferno);
    Image8 error = colorize(error_of(p.prediction, p.truth), 0, kWorstError, ColorMap::inferno);
    blacken_unknown(p.truth, truth);
    blacken_unknown(p.truth, error);
    write_png(panel_path(folder, i, "photo"), thumbnail(p.photo));
    write_png(panel_path(folder, i, "prediction"),
              thumbnail(colorize(p.prediction, low, high, ColorMap::inferno)));
    write_png(panel_path(folder, i, "truth"), thumbnail(truth));
    write_png(panel_path(folder, i, "error"), thumbnail(error));
    titles.push_back(p.title);
  }
  write_text(folder / "panels.json",
             titles.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::vector<std::string> panel_titles(const fs::path& folder) {
  if (!fs::exists(folder / "panels.json")) return {};
  const Json json = Json::parse(read_text(folder / "panels.json"), nullptr, false);
  check(json.is_array(), (folder / "panels.json").string(), ": not a list of titles");
  std::vector<std::string> titles;
  for (const Json& title : json)
    titles.push_back(title.is_string() ? title.get<std::string>() : "");
  return titles;
}

}  // namespace fathom
