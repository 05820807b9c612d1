#include "train/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/device_choice.h"
#include "core/error.h"
#include "core/file.h"
#include "train/nearest_name.h"

namespace fathom {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
concept Section = requires(T& section) {
  T::fields(section, [](std::string_view, auto&, auto...) {});
};

std::string joined(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

// Where a value stands and how to speak of it.
struct Place {
  std::string source;  // the file, or the override
  std::string key;     // dotted
};

template <class... Parts>
[[noreturn]] void refuse(const Place& place, const Json& value, const Parts&... expected) {
  std::ostringstream text;
  (text << ... << expected);
  fail(place.source, ": ", place.key, " is ", value.dump(), ", but must be ", text.str());
}

void check_value(double value, const Json& json, const Place& place, const Between& rule) {
  if (value < rule.low || value > rule.high)
    refuse(place, json, "between ", rule.low, " and ", rule.high);
}

void check_value(double value, const Json& json, const Place& place, const Above& rule) {
  if (!(value > rule.low) || value > rule.high)
    refuse(place, json, "above ", rule.low, " and at most ", rule.high);
}

void check_value(const std::string& value, const Json& json, const Place& place,
                 const OneOf& rule) {
  if (std::ranges::find(rule.names, value) != rule.names.end()) return;
  std::string list;
  for (size_t i = 0; i < rule.names.size(); ++i)
    list += (i == 0 ? "" : i + 1 == rule.names.size() ? " or " : ", ") + rule.names[i];
  refuse(place, json, list);
}

void check_value(const std::string& value, const Json& json, const Place& place,
                 const DeviceName&) {
  if (!device_problem(value).empty()) refuse(place, json, "auto, cpu, cuda or cuda:N");
}

void check_value(const auto&, const Json&, const Place&, const Anything&) {}

void read_value(bool& value, const Json& json, const Place& place, const auto&) {
  if (!json.is_boolean()) refuse(place, json, "true or false");
  value = json.get<bool>();
}

void read_value(int64_t& value, const Json& json, const Place& place, const auto& rule) {
  // 1e6 is a whole number too, whatever its spelling.
  const double number = json.is_number() ? json.get<double>() : NAN;
  if (!(std::abs(number) <= 0x1p53 && number == std::floor(number)))
    refuse(place, json, "a whole number");
  check_value(number, json, place, rule);
  value = int64_t(number);
}

void read_value(double& value, const Json& json, const Place& place, const auto& rule) {
  if (!json.is_number()) refuse(place, json, "a number");
  check_value(json.get<double>(), json, place, rule);
  value = json.get<double>();
}

void read_value(std::string& value, const Json& json, const Place& place, const auto& rule) {
  if (!json.is_string()) refuse(place, json, "a text");
  check_value(json.get<std::string>(), json, place, rule);
  value = json.get<std::string>();
}

template <class T>
void read_value(std::vector<T>& values, const Json& json, const Place& place, const auto& rule) {
  const Json list = json.is_array() ? json : Json::array({json});  // one is a list of one
  values.clear();
  for (size_t i = 0; i < list.size(); ++i) {
    T value{};
    read_value(value, list[i], {place.source, place.key + "[" + std::to_string(i) + "]"}, rule);
    values.push_back(value);
  }
}

// Every dotted key of a configuration.
void list_keys(auto& section, const std::string& path, std::vector<std::string>& keys) {
  std::remove_reference_t<decltype(section)>::fields(
      section, [&](std::string_view key, auto& member, auto...) {
        if constexpr (Section<std::remove_reference_t<decltype(member)>>)
          list_keys(member, joined(path, key), keys);
        else
          keys.push_back(joined(path, key));
      });
}

[[noreturn]] void refuse_key(const Place& place) {
  TrainConfig config;
  std::vector<std::string> keys;
  list_keys(config, "", keys);
  TrainConfig::fields(config, [&](std::string_view key, auto&, auto...) {
    if (std::ranges::find(keys, key) == keys.end()) keys.emplace_back(key);
  });
  fail(place.source, ": there is no key ", place.key, "; the nearest is ",
       nearest_dotted_name(place.key, keys));
}

void read_section(auto& section, const Json& json, const Place& place) {
  if (!json.is_object()) refuse(place, json, "a section, { ... }");
  for (const auto& [name, value] : json.items()) {
    const Place here{place.source, joined(place.key, name)};
    bool known = false;
    std::remove_reference_t<decltype(section)>::fields(
        section, [&](std::string_view key, auto& member, auto... rule) {
          if (key != name) return;
          known = true;
          if constexpr (Section<std::remove_reference_t<decltype(member)>>)
            read_section(member, value, here);
          else
            read_value(member, value, here, rule...);
        });
    if (!known) refuse_key(here);
  }
}

Json json_of(const auto& section) {
  Json json = Json::object();
  std::remove_reference_t<decltype(section)>::fields(
      section, [&](std::string_view key, const auto& member, auto...) {
        if constexpr (Section<std::remove_cvref_t<decltype(member)>>)
          json[std::string(key)] = json_of(member);
        else
          json[std::string(key)] = member;
      });
  return json;
}

// nlohmann keeps the last of two equal keys; a person who wrote two did not mean that.
Json parse(std::string_view text, const std::string& name) {
  std::vector<std::set<std::string>> open;
  const Json::parser_callback_t watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key)
      check(open.back().insert(value.get<std::string>()).second, name, ": the key ",
            value.get<std::string>(), " stands twice in one section");
    return true;
  };
  try {
    return Json::parse(text, watch, true, true);
  } catch (const nlohmann::json::exception& error) {
    std::string what = error.what();  // "[json.exception...] parse error at line 3, column 5: ..."
    if (const size_t end = what.find("] "); end != std::string::npos) what = what.substr(end + 2);
    fail(name, ": not JSON: ", what);
  }
}

// The override as JSON: { "optimizer": { "lr": ... } }. Bare text is a string.
void apply_override(TrainConfig& config, const std::string& text) {
  const std::string source = "--set " + text;
  const size_t equals = text.find('=');
  check(equals != std::string::npos && equals > 0 && text[0] != '.', source,
        ": expected a key and a value, for example optimizer.lr=1e-4");
  const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
  Json json = Json::parse(value, nullptr, false);
  if (json.is_discarded()) json = value;
  for (size_t end = key.size(); end != std::string::npos;) {
    const size_t dot = key.rfind('.', end - 1);
    const size_t begin = dot == std::string::npos ? 0 : dot + 1;
    check(end > begin, source, ": ", key, " is not a dotted key");
    json = Json{{key.substr(begin, end - begin), json}};
    end = dot == 0 ? std::string::npos : dot;
  }
  read_section(config, json, {source, ""});
}

void check_order(const std::string& name, const char* low_key, double low, const char* high_key,
                 double high) {
  check(low < high, name, ": ", low_key, " is ", low, ", but must be below ", high_key, ", ", high);
}

// What spans several keys.
void check_together(const TrainConfig& config, const std::string& name) {
  const auto& [data, augment, eval, metric] =
      std::tie(config.data, config.augment, config.eval, config.metric);
  check(data.size % 14 == 0, name, ": data.size is ", data.size,
        ", but must be a multiple of 14, the side of a patch");
  check(data.mixing != "weighted" || data.weights.size() == data.labeled.size(), name,
        ": data.weights has ", data.weights.size(), " numbers for ", data.labeled.size(),
        " labeled manifests; one each is needed");
  check_order(name, "metric.min_depth_m", metric.min_depth_m, "metric.max_depth_m",
              metric.max_depth_m);
  check_order(name, "eval.min_depth_m", eval.min_depth_m, "eval.max_depth_m", eval.max_depth_m);
  check(augment.blur_sigma_min <= augment.blur_sigma_max, name, ": augment.blur_sigma_min is ",
        augment.blur_sigma_min, ", above augment.blur_sigma_max, ", augment.blur_sigma_max);
  check(augment.cutmix_area_min <= augment.cutmix_area_max, name, ": augment.cutmix_area_min is ",
        augment.cutmix_area_min, ", above augment.cutmix_area_max, ", augment.cutmix_area_max);
  check(config.student.labeled_batch + config.student.unlabeled_batch > 0, name,
        ": student.labeled_batch and student.unlabeled_batch are both 0");
  try {
    model_config(config);
  } catch (const Error& error) {
    fail(name, ": ", error.what());
  }
}

ModelSize size_of_name(const std::string& name) {
  return name == "S"   ? ModelSize::S
         : name == "B" ? ModelSize::B
         : name == "L" ? ModelSize::L
                       : ModelSize::g;
}

}  // namespace

TrainConfig parse_config(std::string_view text, const std::string& name,
                         std::span<const std::string> overrides) {
  TrainConfig config;
  read_section(config, parse(text, name), {name, ""});
  for (const std::string& override : overrides) apply_override(config, override);
  check_together(config, name);
  return config;
}

TrainConfig read_config(const std::filesystem::path& path, std::span<const std::string> overrides) {
  return parse_config(read_text(path), path.string(), overrides);
}

std::string config_text(const TrainConfig& config) { return json_of(config).dump(2) + "\n"; }

static void add_differences(const Json& a, const Json& b, const std::string& path,
                            std::vector<std::string>& lines) {
  for (const auto& [key, value] : a.items()) {
    const Json& other = b.at(key);  // both are whole
    if (value.is_object())
      add_differences(value, other, joined(path, key), lines);
    else if (value != other)
      lines.push_back(joined(path, key) + ": " + value.dump() + " -> " + other.dump());
  }
}

std::vector<std::string> config_differences(const TrainConfig& before, const TrainConfig& after) {
  std::vector<std::string> lines;
  add_differences(json_of(before), json_of(after), "", lines);
  return lines;
}

std::string precision_on(Device device, const TrainConfig& config) {
  if (config.optimizer.precision != "auto") return config.optimizer.precision;
  return device == kCpu ? "f32" : "bf16";
}

DepthAnythingConfig model_config(const TrainConfig& config) {
  const ModelSection& m = config.model;
  const bool custom = m.size == "custom";
  const bool widths = m.channels || m.layers || m.hidden || m.features || !m.out_channels.empty() ||
                      !m.taps.empty();
  check(
      custom || !widths, "model.size is ", m.size,
      ", but model.channels, layers, hidden, features, out_channels and taps are for size custom");
  if (!custom) return depth_anything_config(int(m.version), size_of_name(m.size));

  check(m.channels > 0 && m.channels % 64 == 0, "model.channels is ", m.channels,
        ", but must be a multiple of 64, the width of a head of DINOv2");
  check(m.layers >= 4, "model.layers is ", m.layers, ", but must be at least 4, one a tap");
  check(m.features >= 2 && m.features % 2 == 0, "model.features is ", m.features,
        ", but must be an even number above 0");
  check(m.out_channels.size() == 4, "model.out_channels has ", m.out_channels.size(),
        " numbers, but must have 4");
  check(m.taps.empty() || m.taps.size() == 4, "model.taps has ", m.taps.size(),
        " numbers, but must have 4 or none");
  DepthAnythingConfig model{.encoder = {.channels = m.channels,
                                        .layers = m.layers,
                                        .heads = m.channels / 64,
                                        .hidden = m.hidden ? m.hidden : 4 * m.channels,
                                        .table = config.data.size / 14},
                            .head = {.features = m.features, .out_channels = {}},
                            .taps = depth_anything_taps(int(m.version), m.layers)};
  std::ranges::copy(m.out_channels, model.head.out_channels.begin());
  for (size_t i = 0; i < m.taps.size(); ++i) {
    check(m.taps[i] < m.layers && (i == 0 || m.taps[i] > m.taps[i - 1]), "model.taps[", i, "] is ",
          m.taps[i], ", but taps must ascend and be below model.layers, ", m.layers);
    model.taps[i] = int(m.taps[i]);
  }
  return model;
}

}  // namespace fathom
