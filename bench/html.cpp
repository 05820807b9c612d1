#include "bench/html.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/svg.h"
#include "core/error.h"
#include "core/file.h"

namespace fathom::bench {
namespace {

constexpr double kWidth = 1000;

constexpr const char* kStyle = R"(
:root { --ink: #1c2430; --soft: #5d6878; --rule: #d9dee6; --paper: #ffffff; --f32: #2563a8;
        --bf16: #c2571a; --ours: #2563a8; --other: #9aa6b6; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #9aa6b6; --rule: #333c4a; --paper: #151a21; --f32: #6ea8e8;
          --bf16: #f0975a; --ours: #6ea8e8; --other: #566274; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 1040px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .2rem; }
p { color: var(--soft); margin: .2rem 0 .6rem; max-width: 46rem; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg text.soft { fill: var(--soft); } svg text.end { text-anchor: end; }
svg text.softend { fill: var(--soft); text-anchor: end; }
svg text.middle { fill: var(--soft); text-anchor: middle; }
svg .rule { stroke: var(--rule); stroke-width: 1; }
svg .f32line { stroke: var(--f32); fill: none; stroke-width: 1.5; }
svg .bf16line { stroke: var(--bf16); fill: none; stroke-width: 1.5; }
svg .f32 { fill: var(--f32); fill-opacity: .65; } svg .bf16 { fill: var(--bf16); fill-opacity: .65; }
svg .ours { fill: var(--ours); } svg .other { fill: var(--other); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .18rem .6rem; text-align: right; border-bottom: 1px solid var(--rule);
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { color: var(--soft); font-weight: 600; } td.bad { color: var(--bad); text-align: left; }
)";

using Json = nlohmann::json;

Baselines baselines_of(const Json& json, const std::string& file) {
  Baselines baselines{.file = file, .cpu = json.at("cpu"), .model = json.at("model"), .bars = {}};
  for (const Json& row : json.at("rows"))
    baselines.bars.push_back({row.at("name"), row.at("group"), row.at("threads"),
                              row.at("median_ms"), row.value("peak_mib", 0.0)});
  return baselines;
}

std::string machine_text(const Report& report) {
  const Fingerprint& m = report.machine;
  return m.cpu + ", " + m.isa + ", " + std::to_string(m.threads) + " of " +
         std::to_string(m.cores) + " cores, fathom " + m.revision + ", " + report.created +
         ", load before " + short_number(m.load);
}

std::string details(const Row& row) {
  return row.name + "\n" + time_text(row.warm.median_s()) + ", " +
         short_number(row.flops / row.warm.median_s() / 1e9) + " GFLOP/s, " +
         short_number(row.bytes / row.warm.median_s() / 1e9) + " GB/s, " +
         short_number(100 * row.warm.roofline_share()) + " % of the roofline";
}

// FLOP a byte against FLOP/s, both logarithmic, under the roofs of the run.
std::string roofline(const Report& report) {
  std::vector<const Row*> points;
  for (const Row& row : report.rows)
    if (!row.failed() && row.flops > 0 && row.bytes > 0) points.push_back(&row);
  if (points.empty() || report.ceilings.memory_bytes <= 0) return "";
  const auto& c = report.ceilings;
  const double height = 520, left = 70, right = 20, top = 20, bottom = 50;
  double low_x = 1e9, high_x = 0, low_y = 1e18;
  for (const Row* row : points) {
    low_x = std::min(low_x, row->flops / row->bytes);
    high_x = std::max(high_x, row->flops / row->bytes);
    low_y = std::min(low_y, row->flops / row->warm.median_s() / 1e9);
  }
  const double peak = std::max(c.f32_flops, c.bf16_flops) / 1e9;
  const Axis x{std::min(low_x, 1.0) / 1.5, high_x * 1.5, kWidth - left - right, true};
  const Axis y{low_y / 1.5, peak * 1.5, height - top - bottom, true};
  const auto px = [&](double v) { return left + x.at(v); };
  const auto py = [&](double v) { return height - bottom - y.at(v); };
  Svg svg(kWidth, height, "Roofline: FLOP/s against FLOP per byte");
  for (const double v : x.ticks()) {
    svg.line(px(v), top, px(v), height - bottom, "rule");
    svg.text(px(v), height - bottom + 18, short_number(v), "middle");
  }
  for (const double v : y.ticks()) {
    svg.line(left, py(v), kWidth - right, py(v), "rule");
    svg.text(left - 8, py(v) + 4, short_number(v), "softend");
  }
  svg.text(left + x.length / 2, height - 10, "FLOP for each byte that must move", "middle");
  svg.text(4, 12, "GFLOP/s", "soft");
  for (const auto& [flops, style, name] :
       {std::tuple{c.f32_flops, "f32line", "f32"}, {c.bf16_flops, "bf16line", "bf16"}}) {
    const double ridge = flops / c.memory_bytes;
    const double start = std::max(x.low, y.low * 1e9 / c.memory_bytes);
    svg.polyline({{px(start), py(start * c.memory_bytes / 1e9)},
                  {px(std::max(ridge, start)), py(flops / 1e9)},
                  {px(x.high), py(flops / 1e9)}},
                 style);
    svg.text(kWidth - right, py(flops / 1e9) - 6,
             std::string(name) + " peak " + short_number(flops / 1e9), "end");
  }
  for (const Row* row : points) {
    const double at_x = px(row->flops / row->bytes);
    const double at_y = py(row->flops / row->warm.median_s() / 1e9);
    const std::string style(name_of(row->dtype));
    if (row->pass == "backward")
      svg.triangle(at_x, at_y, style, details(*row));
    else
      svg.circle(at_x, at_y, style, details(*row));
  }
  return "<h2>Roofline</h2>\n<p>Each mark is an op at one size: circles forward, triangles "
         "backward, blue f32, orange bf16. The lines are the ceilings measured in the same run: "
         "memory at " +
         short_number(c.memory_bytes / 1e9) +
         " GB/s on the left, multiply-adds above. Ops whose operands fit a cache may pass the "
         "left one. Rest the mouse on a mark for its name.</p>\n" +
         svg.str();
}

struct BarRow {
  std::string label, value, title;
  double length;
  std::string style;
};

// Horizontal bars with their values behind them.
std::string bars(const std::vector<BarRow>& rows, const std::string& label) {
  const double line = 24, left = 330;
  double longest = 0;
  for (const BarRow& row : rows) longest = std::max(longest, row.length);
  const Axis x{0, longest > 0 ? longest : 1, kWidth - left - 150};
  Svg svg(kWidth, line * double(rows.size()) + 6, label);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double y = line * double(i) + 4;
    svg.text(left - 8, y + 13, rows[i].label, "end");
    svg.bar(left, y, std::max(1.0, x.at(rows[i].length)), line - 7, rows[i].style, rows[i].title);
    svg.text(left + x.at(rows[i].length) + 8, y + 13, rows[i].value, "soft");
  }
  return svg.str();
}

// Shares of the roofline of ops that move memory or multiply, the lowest first.
std::string shares(const Report& report) {
  std::map<std::string, std::vector<const Row*>> by_op;
  for (const Row& row : report.rows)
    if (!row.failed() && !row.bound.empty() && row.op != "model" && row.op != "train")
      by_op[row.op + " " + row.pass].push_back(&row);
  if (by_op.empty()) return "";
  std::vector<BarRow> rows;
  for (const auto& [name, list] : by_op) {
    // With flushed caches where that was measured: then the roof really is a bound.
    double log_sum = 0;
    std::string title = name;
    for (const Row* row : list) {
      const double share = (row->cold ? *row->cold : row->warm).roofline_share();
      log_sum += std::log(share);
      title +=
          "\n" + row->size + " " + std::string(name_of(row->dtype)) + ": " + short_number(share);
    }
    const double mean = std::exp(log_sum / double(list.size()));
    rows.push_back({name, short_number(mean), title, mean, "ours"});
  }
  std::sort(rows.begin(), rows.end(),
            [](const BarRow& a, const BarRow& b) { return a.length < b.length; });
  return "<h2>Share of the roofline by op</h2>\n<p>Geometric mean over sizes and dtypes, with "
         "flushed caches where that was measured. The shortest bars have the most to "
         "gain.</p>\n" +
         bars(rows, "Share of the roofline by op");
}

std::string models(const Report& report) {
  std::map<std::string, std::vector<const Row*>> by_model;
  for (const Row& row : report.rows)
    if ((row.op == "model" || row.op == "train") && !row.failed())
      by_model[(row.op == "model" ? "Inference, " : "Training step, ") + row.size + ", " +
               std::string(name_of(row.dtype))]
          .push_back(&row);
  std::string html;
  for (const auto& [name, list] : by_model) {
    std::vector<BarRow> rows;
    for (const Row* row : list) {
      std::string value = time_text(row->warm.median_s());
      if (!row->bound.empty())
        value += ", floor " + short_number(100 * row->warm.roofline_share()) + " %";
      const bool sum = row->pass == "network" || row->pass == "total" || row->pass == "step";
      rows.push_back(
          {row->pass, value, details(*row), row->warm.median_s(), sum ? "ours" : "other"});
    }
    html += "<h3>" + escaped(name) + "</h3>\n" + bars(rows, name);
  }
  if (html.empty()) return "";
  return "<h2>Models</h2>\n<p>Median time of each window of a pass; the share says how near the "
         "window is to the sum of its kernels' rooflines.</p>\n" +
         html;
}

std::string baseline_bars(const Baselines& baselines) {
  std::map<std::pair<std::string, int>, std::vector<const Baselines::Bar*>> groups;
  for (const Baselines::Bar& bar : baselines.bars) groups[{bar.group, bar.threads}].push_back(&bar);
  std::string html;
  for (auto& [key, list] : groups) {
    std::sort(list.begin(), list.end(),
              [](const auto* a, const auto* b) { return a->median_ms < b->median_ms; });
    double ours = 0;
    for (const Baselines::Bar* bar : list)
      if (bar->name.starts_with("fathom")) ours = bar->median_ms;
    std::vector<BarRow> rows;
    for (const Baselines::Bar* bar : list) {
      const bool mine = bar->name.starts_with("fathom");
      std::string value = short_number(bar->median_ms) + " ms";
      if (ours > 0 && !mine) value += ", x " + short_number(bar->median_ms / ours);
      rows.push_back({bar->name, value,
                      bar->name + ", peak memory " + short_number(bar->peak_mib) + " MiB",
                      bar->median_ms, mine ? "ours" : "other"});
    }
    const std::string name =
        key.first + ", " + std::to_string(key.second) + (key.second > 1 ? " threads" : " thread");
    html += "<h3>" + escaped(name) + "</h3>\n" + bars(rows, name);
  }
  return "<h2>Against other libraries</h2>\n<p>" +
         escaped(baselines.model + " on " + baselines.cpu) +
         ": median times, shorter is better; x is a time over ours. From " +
         escaped(baselines.file) + ", written by bench/compare.</p>\n" + html;
}

// Times of the rows that the newest report shares with older ones, against their first.
std::string history(const std::vector<Report>& reports) {
  if (reports.size() < 2) return "";
  std::map<std::string, std::vector<std::pair<size_t, double>>> series;
  for (size_t i = 0; i < reports.size(); ++i)
    for (const Row& row : reports[i].rows)
      if (!row.failed()) series[row.name].push_back({i, row.warm.median_s()});
  std::map<std::string, std::vector<std::vector<std::pair<size_t, double>>>> by_op;
  for (const auto& [name, points] : series)
    if (points.size() > 1 && points.back().first == reports.size() - 1)
      by_op[name.substr(0, name.find('/', name.find('/') + 1))].push_back(points);
  if (by_op.empty()) return "";
  std::string html;
  const double height = 64, left = 330, width = kWidth - left - 150;
  for (const auto& [op, rows] : by_op) {
    double low = 1, high = 1, last = 0;
    for (const auto& points : rows) {
      for (const auto& [i, s] : points) {
        low = std::min(low, s / points[0].second);
        high = std::max(high, s / points[0].second);
      }
      last += std::log(points.back().second / points[0].second) / double(rows.size());
    }
    const Axis x{0, double(reports.size() - 1), width},
        y{low * 0.98, high * 1.02, height - 16, true};
    const auto py = [&](double v) { return height - 8 - y.at(v); };
    Svg svg(kWidth, height, "History of " + op);
    svg.text(left - 8, height / 2 + 4, op, "end");
    svg.line(left, py(1), left + width, py(1), "rule");
    for (const auto& points : rows) {
      std::vector<std::pair<double, double>> line;
      for (const auto& [i, s] : points)
        line.push_back({left + x.at(double(i)), py(s / points[0].second)});
      svg.polyline(line, "f32line");
    }
    svg.text(left + width + 8, height / 2 + 4, "x " + short_number(std::exp(last)), "soft");
    html += svg.str();
  }
  std::string when;
  for (const Report& report : reports)
    when += "<br>" +
            escaped(report.created + ", " + report.machine.revision + ", " + report.machine.cpu);
  return "<h2>History</h2>\n<p>Times of each row over that of its first report, logarithmic; below "
         "the line is faster. The number is the geometric mean of the newest. Reports, oldest "
         "first:" +
         when + "</p>\n" + html;
}

std::string cell(const std::string& text) { return "<td>" + escaped(text) + "</td>"; }

std::string table(const Report& report) {
  std::string html =
      "<h2>All rows</h2>\n<div "
      "class=\"scroll\"><table>\n<tr><th>row</th><th>median</th><th>p10</th>"
      "<th>p90</th><th>flushed</th><th>GFLOP/s</th><th>GB/s</th><th>roof</th><th>error</th></tr>\n";
  for (const Row& row : report.rows) {
    html += "<tr>" + cell(row.name);
    if (row.failed()) {
      html += "<td class=\"bad\" colspan=\"8\">FAILED: " + escaped(row.failure) + "</td></tr>\n";
      continue;
    }
    const double s = row.warm.median_s();
    html += cell(time_text(s)) + cell(time_text(row.warm.quantile_s(0.1))) +
            cell(time_text(row.warm.quantile_s(0.9))) +
            cell(row.cold ? time_text(row.cold->median_s()) : "") +
            cell(row.flops > 0 ? short_number(row.flops / s / 1e9) : "") +
            cell(row.bytes > 0 ? short_number(row.bytes / s / 1e9) : "") +
            cell(row.bound.empty() ? "" : short_number(row.warm.roofline_share())) +
            cell(row.error_bound > 0 ? short_number(row.error) : "") + "</tr>\n";
  }
  return html + "</table></div>\n";
}

}  // namespace

PageContent read_page_content(const std::vector<std::filesystem::path>& files) {
  PageContent content;
  for (const auto& file : files) {
    Json json;
    try {
      json = Json::parse(read_text(file, int64_t(256) << 20));
    } catch (const Json::exception& error) {
      fail(file.string(), ": ", error.what());
    }
    if (json.is_object() && json.contains("schema")) {
      content.reports.push_back(read_report(file));
      continue;
    }
    try {
      content.baselines.push_back(baselines_of(json, file.filename().string()));
    } catch (const Json::exception& error) {
      fail(file.string(),
           ": neither a report of fathom bench nor a file of bench/compare: ", error.what());
    }
  }
  std::stable_sort(content.reports.begin(), content.reports.end(),
                   [](const Report& a, const Report& b) { return a.created < b.created; });
  return content;
}

std::string page(const PageContent& content) {
  check(!content.reports.empty() || !content.baselines.empty(), "bench html: no report was given");
  std::string html =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>fathom "
      "bench</title>\n<style>" +
      std::string(kStyle) + "</style>\n</head>\n<body>\n<h1>fathom bench</h1>\n";
  if (!content.reports.empty())
    html += "<p>" + escaped(machine_text(content.reports.back())) + "</p>\n";
  for (const Baselines& baselines : content.baselines) html += baseline_bars(baselines);
  if (!content.reports.empty()) {
    const Report& newest = content.reports.back();
    html += models(newest) + roofline(newest) + shares(newest) + history(content.reports) +
            table(newest);
  }
  return html + "</body>\n</html>\n";
}

}  // namespace fathom::bench
