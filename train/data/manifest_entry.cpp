#include "train/data/manifest_entry.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "models/checkpoint/bytes.h"
#include "models/checkpoint/json_walk.h"

namespace fathom {

constexpr const char* kFields =
    "image, depth, kind, scale, unit, invalid, sky_values, mask, mask_above, sky, key, "
    "percentiles, "
    "refuse_below, ray_focal_px, dataset, split";

// Collects the fields of one line; what they mean together is decided at its end.
class EntryReader {
 public:
  explicit EntryReader(const std::string& where) : where_(where) {}

  void read(const JsonPath& path, const JsonEvent& event) {
    if (path.empty()) return;
    const std::string& field = path[0];
    if (path.size() == 1) {
      check(seen_.size() < 32 && seen_.insert(field).second, where_, ": the field ", shown(field),
            " stands twice");
      if (is_list(field) && event.kind == JsonEvent::Kind::array) return;
    }
    check(event.kind != JsonEvent::Kind::array && event.kind != JsonEvent::Kind::object &&
              (path.size() == 1 || is_list(field)),
          where_, ": ", shown(field), " must be ", wanted(field), ", not a list or an object");
    take(field, event);
  }

  ManifestEntry finish() {
    check(!entry_.image.empty(), where_, ": no \"image\"; every line names one");
    if (!entry_.labeled()) {
      for (const char* field :
           {"kind", "scale", "unit", "invalid", "sky_values", "mask", "mask_above", "sky", "key",
            "percentiles", "refuse_below", "ray_focal_px"})
        check(!seen_.contains(field), where_, ": '", field,
              "' describes a label, but there is no \"",
              "depth\"; name the depth file or remove the field");
      return std::move(entry_);
    }
    check(seen_.contains("kind"), where_,
          ": no \"kind\" beside \"depth\"; write \"depth\" where numbers grow with distance, "
          "\"disparity\" where they grow with nearness");
    resolve_unit();
    check(!seen_.contains("mask_above") || seen_.contains("mask"), where_,
          ": 'mask_above' without a \"mask\" to compare");
    check(percentiles_ == 0 || percentiles_ == 2, where_, ": 'percentiles' must be two numbers");
    check(entry_.format.lowest_percent < entry_.format.highest_percent, where_,
          ": 'percentiles' must be two numbers, the smaller first");
    return std::move(entry_);
  }

 private:
  static bool is_list(std::string_view field) {
    return field == "invalid" || field == "sky_values" || field == "percentiles";
  }
  static bool is_text(std::string_view field) {
    return field == "image" || field == "depth" || field == "kind" || field == "unit" ||
           field == "mask" || field == "sky" || field == "key" || field == "dataset" ||
           field == "split";
  }
  static const char* wanted(std::string_view field) {
    return is_text(field) ? "a text" : "a number";
  }

  std::string text_of(std::string_view field, const JsonEvent& event) const {
    check(event.kind == JsonEvent::Kind::text && !event.text.empty() &&
              event.text.find('\0') == event.text.npos,
          where_, ": '", field, "' must be a text that is not empty");
    return std::string(event.text);
  }

  double number_of(std::string_view field, const JsonEvent& event, double low, double high) const {
    double value = NAN;
    if (event.kind == JsonEvent::Kind::unsigned_integer) value = double(event.integer);
    if (event.kind == JsonEvent::Kind::integer) value = double(int64_t(event.integer));
    if (event.kind == JsonEvent::Kind::real) value = event.real;
    check(value >= low && value <= high, where_, ": '", field, "' must be a number from ", low,
          " to ", high);
    return value;
  }

  Marker marker_of(std::string_view field, const JsonEvent& event) const {
    if (event.kind != JsonEvent::Kind::text)
      return {Marker::Relation::equal, float(number_of(field, event, -kHuge, kHuge))};
    try {
      return parse_marker(event.text);
    } catch (const Error& error) {
      fail(where_, ": '", field, "': ", error.what());
    }
  }

  void take(const std::string& field, const JsonEvent& event) {
    LabelFormat& format = entry_.format;
    if (field == "image") {
      entry_.image = text_of(field, event);
    } else if (field == "depth") {
      entry_.depth = text_of(field, event);
    } else if (field == "mask") {
      entry_.mask = text_of(field, event);
    } else if (field == "sky") {
      entry_.sky = text_of(field, event);
    } else if (field == "key") {
      entry_.key = text_of(field, event);
    } else if (field == "dataset") {
      entry_.dataset = text_of(field, event);
    } else if (field == "split") {
      entry_.split = text_of(field, event);
    } else if (field == "unit") {
      unit_ = text_of(field, event);
    } else if (field == "kind") {
      const std::string kind = text_of(field, event);
      check(kind == "depth" || kind == "disparity", where_, ": kind ", shown(kind),
            " is not known; write \"depth\" or \"disparity\"");
      format.kind = kind == "depth" ? LabelKind::depth : LabelKind::disparity;
    } else if (field == "scale") {
      format.scale = number_of(field, event, 1e-30, 1e30);
    } else if (field == "invalid") {
      format.invalid.push_back(marker_of(field, event));
    } else if (field == "sky_values") {
      format.sky.push_back(marker_of(field, event));
    } else if (field == "mask_above") {
      format.mask_above = number_of(field, event, -kHuge, kHuge);
    } else if (field == "refuse_below") {
      format.refuse_below = number_of(field, event, -kHuge, kHuge);
    } else if (field == "ray_focal_px") {
      format.ray_focal_px = number_of(field, event, 1, 1e9);
    } else if (field == "percentiles") {
      (percentiles_ == 0 ? format.lowest_percent : format.highest_percent) =
          number_of(field, event, 0, 100);
      ++percentiles_;
    } else {
      fail(where_, ": unknown field ", shown(field), "; the fields are ", kFields);
    }
  }

  void resolve_unit() {
    LabelFormat& format = entry_.format;
    if (unit_ == "relative" || unit_ == "px") return;
    const bool depth = format.kind == LabelKind::depth;
    if (depth && unit_ == "m") format.unit_m = 1;
    if (depth && unit_ == "cm") format.unit_m = 0.01;
    if (depth && unit_ == "mm") format.unit_m = 0.001;
    if (!depth && unit_ == "1/m") format.unit_m = 1;
    check(format.unit_m > 0, where_, ": unit ", shown(unit_), " is not one of ",
          depth ? "depth; write \"m\", \"cm\", \"mm\" or \"relative\""
                : "disparity; write \"1/m\", \"px\" or \"relative\"");
  }

  static constexpr double kHuge = 3e38;  // what a float holds
  const std::string& where_;
  std::set<std::string, std::less<>> seen_;
  std::string unit_ = "relative";
  int percentiles_ = 0;
  ManifestEntry entry_;
};

ManifestEntry parse_manifest_entry(std::string_view line, const std::string& where) {
  constexpr size_t kLongest = 1 << 16;
  check(line.size() <= kLongest, where, ": a line of ", line.size(), " bytes; at most ", kLongest,
        " are read: is this a manifest of one JSON object a line?");
  EntryReader reader(where);
  constexpr int kDepth = 3;
  walk_json(line, where, kDepth,
            [&](const JsonPath& path, const JsonEvent& event) { reader.read(path, event); });
  return reader.finish();
}

}  // namespace fathom
