#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/profile.h"
#include "bench/statistics.h"

namespace fathom::bench {
namespace {

using Json = nlohmann::ordered_json;

template <class... T>
std::string formatted(const char* format, T... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string or_dash(bool known, const char* format, double value) {
  return known ? formatted(format, value) : "-";
}

constexpr const char* kLine = "%-34s %-8s %6s %9s %6s %6s %9s %8s %6s\n";

// Rows below a thousandth of the step together are one line.
std::string table(const char* what, const std::vector<ProfileRow>& rows, double step_s,
                  double outside_s) {
  std::string text =
      formatted(kLine, what, "pass", "calls", "ms", "share", "busy", "GFLOP/s", "GB/s", "floor");
  const auto line = [&](const ProfileRow& row, const std::string& pass) {
    const std::string name = row.name.empty() ? "(no layer)" : row.name;
    const double s = row.seconds;
    text += formatted(
        kLine, name.c_str(), pass.c_str(), or_dash(row.calls > 0, "%.0f", row.calls).c_str(),
        formatted("%.3f", s * 1e3).c_str(), formatted("%.1f%%", 100 * s / step_s).c_str(),
        or_dash(row.busy > 0, "%.0f%%", 100 * row.busy).c_str(),
        or_dash(row.flops > 0, "%.1f", row.flops / s / 1e9).c_str(),
        or_dash(row.bytes > 0, "%.1f", row.bytes / s / 1e9).c_str(),
        or_dash(row.floor_s > 0, "%.0f%%", 100 * row.floor_s / s).c_str());
  };
  ProfileRow rest;
  int64_t left = 0;
  for (const ProfileRow& row : rows) {
    if (row.seconds >= 1e-3 * step_s) {
      line(row, std::string(name_of(row.pass)));
      continue;
    }
    ++left;
    rest.calls += row.calls, rest.seconds += row.seconds;
  }
  if (left > 0) {
    rest.name = formatted("(%lld more)", static_cast<long long>(left));
    line(rest, "");
  }
  line({.name = "(outside ops)", .seconds = outside_s}, "");
  return text;
}

Json json_of(const std::vector<ProfileRow>& rows, double step_s) {
  Json list = Json::array();
  for (const ProfileRow& row : rows) {
    const auto known = [](double value, double result) {
      return value > 0 ? Json(result) : Json();
    };
    list.push_back({{"name", row.name},
                    {"pass", name_of(row.pass)},
                    {"calls", row.calls},
                    {"seconds", row.seconds},
                    {"share", row.seconds / step_s},
                    {"busy", known(row.busy, row.busy)},
                    {"flops_per_s", known(row.flops, row.flops / row.seconds)},
                    {"bytes_per_s", known(row.bytes, row.bytes / row.seconds)},
                    {"floor_share", known(row.floor_s, row.floor_s / row.seconds)}});
  }
  return list;
}

std::string device_name(Device device) {
  std::ostringstream text;
  text << device;
  return text.str();
}

}  // namespace

std::string json_of(const Profile& profile, const Report& head) {
  const Json report = Json::parse(json_of(head));
  const ProfileOptions& o = profile.options;
  const ProfileTables& t = profile.tables;
  Json json{{"schema", kProfileSchema}};
  for (const char* key : {"created", "command", "machine"}) json[key] = report.at(key);
  json["ceilings"] = o.device == kCpu ? report.at("ceilings") : Json();
  json["model"] = {{"size", profile.size()},
                   {"dtype", name_of(o.dtype)},
                   {"device", device_name(o.device)},
                   {"training", o.training}};
  json["steps_s"] = profile.recorded_s;
  json["plain_steps_s"] = profile.plain_s;
  json["overhead"] = profile.overhead();
  json["step_s"] = t.step_s;
  json["outside_ops_s"] = t.outside_s;
  json["peak_bytes"] = t.peak_bytes;
  json["peak_layer"] = t.peak_layer;
  json["ops"] = json_of(t.ops, t.step_s);
  json["layers"] = json_of(t.every_layer, t.step_s);
  return json.dump(2) + "\n";
}

std::string text_of(const Profile& profile, bool every_layer) {
  const ProfileTables& t = profile.tables;
  std::string text =
      formatted("%s of %s %s on %s: %.3f ms a step, mean of %lld; recording costs %+.2f %%\n",
                profile.options.training ? "training" : "inference", profile.size().c_str(),
                std::string(name_of(profile.options.dtype)).c_str(),
                device_name(profile.options.device).c_str(), t.step_s * 1e3,
                static_cast<long long>(t.steps), 100 * profile.overhead());
  text += formatted("ops account for %.2f %% of it; at most %.1f MiB of tensors, in %s\n\n",
                    100 * t.ops_share(), double(t.peak_bytes) / (1 << 20),
                    t.peak_layer.empty() ? "no layer" : t.peak_layer.c_str());
  text += table("op", t.ops, t.step_s, t.outside_s) + "\n";
  return text + table("layer", every_layer ? t.every_layer : t.layers, t.step_s, t.outside_s);
}

}  // namespace fathom::bench
