#include "train/report/report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/base64.h"
#include "core/file.h"
#include "train/log/json_log.h"
#include "train/log/progress.h"
#include "train/panels.h"
#include "train/report/chart.h"
#include "train/run_folder.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kStyle = R"(
:root { --ink:#1b1f24; --soft:#5b6470; --line:#e3e6ea; --paper:#ffffff; --tile:#f6f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e8eaed; --soft:#9aa4b0; --line:#33383f; --paper:#15181c; --tile:#1e2227; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 24px 60px; max-width: 1240px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; margin: 0 0 2px; } h2 { font-size: 18px; margin: 36px 0 12px; }
p { margin: 4px 0; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0; }
.tile { background: var(--tile); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 22px; font-weight: 600; } .tile span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 18px; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; padding: 12px 12px 8px; }
figcaption { font-weight: 600; margin-bottom: 4px; } small { font-weight: 400; color: var(--soft); }
svg { width: 100%; height: auto; display: block; } .grid { stroke: var(--line); }
.tick { font-size: 11px; fill: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 14px; height: 3px; margin-right: 6px; vertical-align: middle; }
table { border-collapse: collapse; } th, td { text-align: right; padding: 5px 14px; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; } th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
.panels { display: grid; grid-template-columns: repeat(4, 1fr); gap: 8px; align-items: start; }
.panels img { width: 100%; border-radius: 4px; image-rendering: auto; } .panels .head { color: var(--soft); font-size: 13px; }
.panels .title { grid-column: 1 / -1; font-size: 14px; margin-top: 10px; }
pre { background: var(--tile); border-radius: 8px; padding: 14px; overflow-x: auto; font-size: 13px; }
details summary { cursor: pointer; color: var(--soft); }
)";

Json read_json(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  const Json json = Json::parse(read_text(path), nullptr, false);
  check(json.is_object(), path.string(), ": not a JSON object");
  return json;
}

std::string number(double value, const char* format = "%.4g") {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// 1234567 -> "1 234 567".
std::string grouped(int64_t value) {
  std::string digits = std::to_string(value);
  for (int64_t at = int64_t(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(size_t(at), "\u202f");
  return digits;
}

std::string tile(const std::string& value, const std::string& label) {
  return "<div class=\"tile\"><b>" + escaped(value) + "</b><span>" + escaped(label) +
         "</span></div>";
}

// One line for every name that begins with the prefix, in the order of appearance.
Chart chart_of(const std::vector<LogLine>& log, const std::string& title, const std::string& unit,
               const std::string& prefix, const std::vector<std::string>& only = {}) {
  Chart chart{.title = title, .unit = unit, .series = {}};
  for (const LogLine& line : log)
    for (const auto& [name, value] : line.values) {
      if (!name.starts_with(prefix)) continue;
      const std::string rest = name.substr(prefix.size());
      if (!only.empty() && std::ranges::find(only, rest) == only.end()) continue;
      auto series = std::ranges::find(chart.series, rest, &ChartSeries::name);
      if (series == chart.series.end()) {
        chart.series.push_back({rest, {}});
        series = chart.series.end() - 1;
      }
      series->points.emplace_back(double(line.step), value);
    }
  return chart;
}

std::string charts_of(const std::vector<LogLine>& log) {
  std::vector<Chart> charts{
      chart_of(log, "Loss", "what is minimised", "loss/", {"total"}),
      chart_of(log, "Losses", "before their weights", "loss/"),
      chart_of(log, "Validation, disparity", "share within 25 %, larger is better",
               "eval/disparity/", {"delta1"}),
      chart_of(log, "Validation, depth", "share within 25 %, larger is better", "eval/depth/",
               {"delta1", "delta2", "delta3"}),
      chart_of(log, "Validation, relative error", "smaller is better", "eval/depth/", {"abs_rel"}),
      chart_of(log, "Learning rate", "of the encoder", "optimizer/", {"lr"}),
      chart_of(log, "Gradient norm", "before clipping", "optimizer/", {"gradient_norm"}),
      chart_of(log, "Throughput", "images a second", "speed/", {"images_per_second"}),
      chart_of(log, "Waiting for data", "share of the time", "speed/", {"data_wait"}),
  };
  std::erase_if(charts[1].series, [](const ChartSeries& s) { return s.name == "total"; });
  for (const size_t i : {0, 1, 6}) charts[i].smooth = true;
  std::string out;
  for (const Chart& chart : charts)
    if (!chart.series.empty()) out += svg_of(chart);
  return out;
}

// One row an evaluation: the first, the best of the last ones, the last.
std::string metrics_table(const std::vector<LogLine>& log) {
  std::vector<std::string> names;
  std::string rows;
  for (const LogLine& line : log)
    for (const auto& [name, value] : line.values)
      if (name.starts_with("eval/") && name != "eval/images" &&
          std::ranges::find(names, name) == names.end())
        names.push_back(name);
  if (names.empty())
    return "<p>No evaluation: data.validation is empty or the run has not ended.</p>";
  std::vector<std::string> spaces;
  for (const std::string& name : names) {
    const std::string space = name.substr(5, name.rfind('/') - 5);
    if (std::ranges::find(spaces, space) == spaces.end()) spaces.push_back(space);
  }
  std::string out;
  for (const std::string& space : spaces) {
    std::string head = "<tr><th>" + escaped(space) + ", step</th>";
    for (const std::string& name : names)
      if (name.starts_with("eval/" + space + "/"))
        head += "<th>" + escaped(name.substr(name.rfind('/') + 1)) + "</th>";
    std::vector<std::string> body;
    for (const LogLine& line : log) {
      std::string row;
      for (const auto& [name, value] : line.values)
        if (name.starts_with("eval/" + space + "/")) row += "<td>" + number(value) + "</td>";
      if (!row.empty()) body.push_back("<tr><td>" + grouped(line.step) + "</td>" + row + "</tr>");
    }
    constexpr size_t kRows = 12;  // the newest: the charts show the rest
    std::string shown;
    for (size_t i = body.size() > kRows ? body.size() - kRows : 0; i < body.size(); ++i)
      shown += body[i];
    out += "<table>" + head + "</tr>" + shown + "</table><br>";
  }
  return out;
}

std::string picture(const fs::path& path, const std::string& alt) {
  if (!fs::exists(path)) return "<span></span>";
  const MappedFile file(path);
  return "<img alt=\"" + escaped(alt) + "\" src=\"data:image/png;base64," +
         base64_of(file.bytes()) + "\">";
}

std::string panels_of(const fs::path& folder) {
  const std::vector<std::string> titles = panel_titles(folder);
  if (titles.empty()) return "";
  std::string out =
      "<h2>Examples</h2><p>Disparity, near is bright, of one scale in a row. Error: "
      "relative difference, from black (none) to pale yellow (a half or more). Black "
      "in the truth: unknown.</p><div class=\"panels\">";
  for (const char* name : kPanelPictures)
    out += "<span class=\"head\">" + std::string(name) + "</span>";
  for (size_t i = 0; i < titles.size(); ++i) {
    for (const char* name : kPanelPictures)
      out += picture(panel_path(folder, i, name), name + std::string(" of ") + titles[i]);
    out += "<div class=\"title\">" + escaped(titles[i]) + "</div>";
  }
  return out + "</div>";
}

std::string tiles_of(const Json& result, const std::vector<LogLine>& log) {
  std::string out;
  const auto last = [&](const std::string& wanted) -> std::optional<double> {
    for (auto line = log.rbegin(); line != log.rend(); ++line)
      for (const auto& [name, value] : line->values)
        if (name == wanted) return value;
    return std::nullopt;
  };
  if (!log.empty()) out += tile(grouped(log.back().step), "steps");
  if (result.contains("images"))
    out += tile(grouped(result["images"].get<int64_t>()), "images seen");
  if (!log.empty()) out += tile(clock_text(log.back().time_s), "time");
  if (const auto rate = last("speed/images_per_second"))
    out += tile(number(*rate), "images a second");
  if (const auto wait = last("speed/data_wait"))
    out += tile(number(100 * *wait, "%.0f") + " %", "of the time waiting for data");
  if (const auto loss = last("loss/total")) out += tile(number(*loss), "loss at the end");
  for (const auto& [name, label] : {std::pair{"eval/disparity/delta1", "\u03b4\u2081 of disparity"},
                                    std::pair{"eval/depth/delta1", "\u03b4\u2081 of depth"},
                                    std::pair{"eval/depth/abs_rel", "AbsRel of depth"}})
    if (const auto value = last(name)) out += tile(number(*value, "%.3f"), label);
  if (result.contains("parameters"))
    out += tile(number(result["parameters"].get<double>() / 1e6) + " M", "parameters");
  if (result.contains("peak_bytes"))
    out += tile(number(result["peak_bytes"].get<double>() / double(1 << 30), "%.2f") + " GiB",
                "tensors at the peak");
  if (const auto skipped = last("optimizer/skipped_steps"))
    out += tile(number(*skipped), "steps skipped");
  return out;
}

}  // namespace

std::string report_html(const fs::path& run) {
  const RunFolder folder{run};
  check(fs::exists(folder.config()) && fs::exists(folder.log()), run.string(),
        ": not the folder of a run; it has no config.json and log.jsonl");
  const std::vector<LogLine> log = read_json_log(folder.log());
  const Json result = read_json(folder.result());
  const std::string name = fs::absolute(run).lexically_normal().filename().string();
  const std::string stage = result.value("stage", "unfinished");
  std::string html =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + escaped(name) +
      "</title><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><style>" +
      kStyle + "</style></head><body><h1>" + escaped(name) + "</h1><p>" + escaped(stage);
  html += result.contains("fathom") ? ", fathom " + escaped(result["fathom"].get<std::string>())
                                    : std::string(": the run has not ended");
  html += "</p><div class=\"tiles\">" + tiles_of(result, log) + "</div><h2>Curves</h2>" +
          "<p>Against the step. Pale: every line of the log; strong: a running mean.</p>" +
          "<div class=\"charts\">" + charts_of(log) + "</div><h2>Metrics</h2>" +
          metrics_table(log) + panels_of(folder.panels()) +
          "<h2>Configuration</h2><details open><summary>config.json" + "</summary><pre>" +
          escaped(read_text(folder.config())) + "</pre></details></body></html>\n";
  return html;
}

}  // namespace fathom
