#pragma once

#include <string>
#include <utility>
#include <vector>

namespace fathom {

/// One line of a chart: points in ascending x.
struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct Chart {
  std::string title;
  std::string unit;  // of y, beside the title; may be empty
  std::vector<ChartSeries> series;
  bool smooth = false;  // a running mean in front, the points themselves pale behind it
};

/// The chart as an <svg> element that needs nothing else: axes at round numbers, a legend, a
/// tooltip at the last point of each line. Points that are not finite interrupt a line; long lines
/// are thinned to what the eye can tell apart.
std::string svg_of(const Chart& chart);

/// Round numbers that divide low..high into about `count` steps: multiples of 1, 2 or 5 times a
/// power of ten, the ends within the range.
std::vector<double> round_ticks(double low, double high, int count);

/// Text with & < > and quotes as entities.
std::string escaped(const std::string& text);

}  // namespace fathom
