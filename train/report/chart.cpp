#include "train/report/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace fathom {
namespace {

constexpr double kWidth = 560, kHeight = 280;
constexpr double kLeft = 58, kRight = 14, kTop = 12, kBottom = 30;
constexpr size_t kMaxPoints = 700;  // more than the pixels across
// Told apart with every common colour blindness. Source: Okabe and Ito, "Color Universal Design".
constexpr const char* kColors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                   "#e69f00", "#56b4e9", "#6f6f6f", "#000000"};

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string pixel(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

struct Axes {
  double x0, x1, y0, y1;
  double px(double x) const { return kLeft + (x - x0) / (x1 - x0) * (kWidth - kLeft - kRight); }
  double py(double y) const {
    return kHeight - kBottom - (y - y0) / (y1 - y0) * (kHeight - kTop - kBottom);
  }
};

Axes axes_of(const Chart& chart) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Axes a{kInfinity, -kInfinity, kInfinity, -kInfinity};
  for (const ChartSeries& series : chart.series)
    for (const auto& [x, y] : series.points) {
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      a.x0 = std::min(a.x0, x), a.x1 = std::max(a.x1, x);
      a.y0 = std::min(a.y0, y), a.y1 = std::max(a.y1, y);
    }
  if (a.x0 > a.x1) return {0, 1, 0, 1};
  if (a.x0 == a.x1) a.x0 -= 1, a.x1 += 1;
  const double margin = a.y1 > a.y0 ? 0.06 * (a.y1 - a.y0) : std::max(1e-9, std::abs(a.y0) * 0.1);
  // A quantity that is never negative is not drawn as if it could be.
  a.y0 = a.y0 >= 0 && a.y0 - margin < 0 ? 0 : a.y0 - margin;
  a.y1 += margin;
  return a;
}

std::vector<std::pair<double, double>> thinned(const ChartSeries& series) {
  const auto& points = series.points;
  if (points.size() <= kMaxPoints) return points;
  std::vector<std::pair<double, double>> kept;
  for (size_t i = 0; i < kMaxPoints; ++i) kept.push_back(points[i * points.size() / kMaxPoints]);
  kept.back() = points.back();
  return kept;
}

// A running mean whose window grows to a fiftieth of the line, corrected for its start.
ChartSeries smoothed(const ChartSeries& series) {
  ChartSeries out{series.name, {}};
  const double keep = 1 - 1 / std::max(1.0, double(series.points.size()) / 50);
  double sum = 0, weight = 0;
  for (const auto& [x, y] : series.points) {
    if (!std::isfinite(y)) continue;
    sum = keep * sum + y, weight = keep * weight + 1;
    out.points.emplace_back(x, sum / weight);
  }
  return out;
}

std::string path_of(const ChartSeries& series, const Axes& axes, const std::string& style) {
  std::string path;
  bool pen_down = false;
  for (const auto& [x, y] : thinned(series)) {
    const bool visible = std::isfinite(x) && std::isfinite(y);
    if (visible) path += (pen_down ? "L" : "M") + pixel(axes.px(x)) + " " + pixel(axes.py(y));
    pen_down = visible;
  }
  return "<path d=\"" + path + "\" fill=\"none\" " + style + "/>";
}

std::string grid_of(const Axes& axes) {
  std::string out;
  for (const double y : round_ticks(axes.y0, axes.y1, 5)) {
    const std::string at = pixel(axes.py(y));
    out += "<line class=\"grid\" x1=\"" + pixel(kLeft) + "\" x2=\"" + pixel(kWidth - kRight) +
           "\" y1=\"" + at + "\" y2=\"" + at + "\"/><text class=\"tick\" text-anchor=\"end\" x=\"" +
           pixel(kLeft - 6) + "\" y=\"" + pixel(axes.py(y) + 4) + "\">" + number(y) + "</text>";
  }
  for (const double x : round_ticks(axes.x0, axes.x1, 6))
    out += "<text class=\"tick\" text-anchor=\"middle\" x=\"" + pixel(axes.px(x)) + "\" y=\"" +
           pixel(kHeight - 10) + "\">" + number(x) + "</text>";
  return out;
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  if (!(rough > 0) || !std::isfinite(rough)) return {low};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  std::vector<double> ticks;
  // By whole multiples: adding the step up would drift away from round numbers.
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
    ticks.push_back(i * step + 0.0);  // + 0.0: no "-0"
  return ticks;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  return out;
}

std::string svg_of(const Chart& chart) {
  const Axes axes = axes_of(chart);
  std::string out = "<figure><figcaption>" + escaped(chart.title);
  if (!chart.unit.empty()) out += " <small>" + escaped(chart.unit) + "</small>";
  std::string lines, legend;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const ChartSeries& series = chart.series[i];
    const std::string stroke =
        std::string("stroke=\"") + kColors[i % std::size(kColors)] + "\" stroke-width=\"";
    if (chart.smooth) {
      lines += path_of(series, axes, stroke + "1\" opacity=\"0.25\"");
      lines += path_of(smoothed(series), axes, stroke + "1.8\"");
    } else {
      lines += path_of(series, axes, stroke + "1.8\"");
    }
    if (!series.points.empty()) {
      const auto& [x, y] = series.points.back();
      if (std::isfinite(x) && std::isfinite(y))
        lines += "<circle cx=\"" + pixel(axes.px(x)) + "\" cy=\"" + pixel(axes.py(y)) +
                 "\" r=\"3\" fill=\"" + kColors[i % std::size(kColors)] + "\"><title>" +
                 escaped(series.name) + " " + number(y) + " at " + number(x) + "</title></circle>";
    }
    legend += std::string("<span><i style=\"background:") + kColors[i % std::size(kColors)] +
              "\"></i>" + escaped(series.name) + "</span>";
  }
  out += "</figcaption><svg viewBox=\"0 0 " + pixel(kWidth) + " " + pixel(kHeight) +
         "\" role=\"img\">" + grid_of(axes) + lines + "</svg>";
  if (chart.series.size() > 1) out += "<div class=\"legend\">" + legend + "</div>";
  return out + "</figure>\n";
}

}  // namespace fathom
