#include "bench/svg.h"

#include <cmath>
#include <cstdio>

namespace fathom::bench {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      default: result += c;
    }
  }
  return result;
}

std::string short_number(double value) {
  char text[32];
  const double size = std::fabs(value);
  if (value == std::round(value) && size < 1e6) {
    std::snprintf(text, sizeof text, "%.0f", value);
    return text;
  }
  const char* format = size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : size >= 1 ? "%.2f" : "%.3g";
  std::snprintf(text, sizeof text, format, value);
  return text;
}

double Axis::at(double value) const {
  const double share =
      logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return share * length;
}

std::vector<double> Axis::ticks() const {
  std::vector<double> values;
  if (logarithmic) {
    const bool few = high / low < 500;  // then decades alone would be too far apart
    for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high; decade *= 10)
      for (const double factor : {1.0, 2.0, 5.0}) {
        const double v = decade * factor;
        if ((few || factor == 1) && v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9))
          values.push_back(v);
      }
    return values;
  }
  const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough / power > 5   ? 10
                               : rough / power > 2 ? 5
                               : rough / power > 1 ? 2
                                                   : 1);
  for (double v = std::ceil(low / step) * step; v <= high + step * 1e-6; v += step)
    values.push_back(v);
  return values;
}

static std::string px(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

Svg::Svg(double width, double height, const std::string& label) {
  out_ << "<svg viewBox=\"0 0 " << px(width) << ' ' << px(height) << "\" width=\"" << px(width)
       << "\" role=\"img\" aria-label=\"" << escaped(label) << "\">\n";
}

void Svg::line(double x1, double y1, double x2, double y2, const std::string& style) {
  out_ << "<line x1=\"" << px(x1) << "\" y1=\"" << px(y1) << "\" x2=\"" << px(x2) << "\" y2=\""
       << px(y2) << "\" class=\"" << style << "\"/>\n";
}

void Svg::polyline(const std::vector<std::pair<double, double>>& points, const std::string& style) {
  out_ << "<polyline points=\"";
  for (const auto& [x, y] : points) out_ << px(x) << ',' << px(y) << ' ';
  out_ << "\" class=\"" << style << "\"/>\n";
}

void Svg::text(double x, double y, const std::string& text, const std::string& style) {
  out_ << "<text x=\"" << px(x) << "\" y=\"" << px(y) << "\" class=\"" << style << "\">"
       << escaped(text) << "</text>\n";
}

void Svg::circle(double x, double y, const std::string& style, const std::string& title) {
  out_ << "<circle cx=\"" << px(x) << "\" cy=\"" << px(y) << "\" r=\"4\" class=\"" << style
       << "\"><title>" << escaped(title) << "</title></circle>\n";
}

void Svg::triangle(double x, double y, const std::string& style, const std::string& title) {
  out_ << "<path d=\"M" << px(x) << ' ' << px(y - 5) << 'L' << px(x + 4.5) << ' ' << px(y + 3.5)
       << 'L' << px(x - 4.5) << ' ' << px(y + 3.5) << "Z\" class=\"" << style << "\"><title>"
       << escaped(title) << "</title></path>\n";
}

void Svg::bar(double x, double y, double width, double height, const std::string& style,
              const std::string& title) {
  out_ << "<rect x=\"" << px(x) << "\" y=\"" << px(y) << "\" width=\"" << px(width)
       << "\" height=\"" << px(height) << "\" class=\"" << style << "\"><title>" << escaped(title)
       << "</title></rect>\n";
}

std::string Svg::str() const { return out_.str() + "</svg>\n"; }

}  // namespace fathom::bench
