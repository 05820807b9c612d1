#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace fathom::bench {

/// Text as it must stand in HTML.
std::string escaped(const std::string& text);
/// A number with few digits: 0.123, 12.3, 1230.
std::string short_number(double value);

/// An axis from low to high over `length` pixels.
struct Axis {
  double low, high, length;
  bool logarithmic = false;
  double at(double value) const;
  /// Values worth a line: decades, or steps of 1, 2 or 5 times a power of ten.
  std::vector<double> ticks() const;
};

/// Elements of a drawing, in pixels from the upper left corner.
class Svg {
 public:
  Svg(double width, double height, const std::string& label);
  void line(double x1, double y1, double x2, double y2, const std::string& style);
  void polyline(const std::vector<std::pair<double, double>>& points, const std::string& style);
  void text(double x, double y, const std::string& text, const std::string& style);
  /// `title` appears when the mouse rests on the element.
  void circle(double x, double y, const std::string& style, const std::string& title);
  void triangle(double x, double y, const std::string& style, const std::string& title);
  void bar(double x, double y, double width, double height, const std::string& style,
           const std::string& title);
  std::string str() const;

 private:
  std::ostringstream out_;
};

}  // namespace fathom::bench
