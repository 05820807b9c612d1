#include "train/report/chart.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

using Catch::Contains;

TEST_CASE("chart: ticks are round and lie within the range") {
  CHECK(round_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1});
  CHECK(round_ticks(3, 97, 5) == std::vector<double>{20, 40, 60, 80});
  CHECK(round_ticks(-1, 1, 2) == std::vector<double>{-1, 0, 1});
  CHECK(round_ticks(5, 5, 4) == std::vector<double>{5});
  for (const double high : {1e-9, 0.37, 5.1, 1e12}) {
    const auto ticks = round_ticks(0, high, 5);
    CHECK(ticks.size() >= 3);
    CHECK(ticks.size() <= 11);
  }
}

TEST_CASE("chart: text is escaped, lines have a legend, holes interrupt them") {
  const std::string svg =
      svg_of({.title = "a < b & \"c\"",
              .unit = {},
              .series = {{"one", {{1, 1}, {2, NAN}, {3, 2}}}, {"two", {{1, 5}}}}});
  CHECK_THAT(svg, Contains("a &lt; b &amp; &quot;c&quot;"));
  CHECK_THAT(svg, Contains("</i>one</span>") && Contains("</i>two</span>"));
  const size_t path = svg.find("<path d=\"M");
  REQUIRE(path != std::string::npos);
  const std::string line = svg.substr(path, svg.find("/>", path) - path);
  CHECK(std::count(line.begin(), line.end(), 'M') == 2);
  CHECK_THAT(svg, !Contains("nan"));
}

TEST_CASE("chart: nothing, one point and a million points are drawn") {
  CHECK_THAT(svg_of({.title = "empty", .unit = {}, .series = {}}), Contains("</svg>"));
  CHECK_THAT(svg_of({.title = "one", .unit = {}, .series = {{"x", {{7, 3}}}}}), !Contains("nan"));
  Chart chart{.title = "many", .unit = {}, .series = {{"x", {}}}, .smooth = true};
  for (int i = 0; i < 1000000; ++i) chart.series[0].points.emplace_back(i, std::sin(i * 1e-5));
  CHECK(svg_of(chart).size() < 40000);
}

}  // namespace fathom
