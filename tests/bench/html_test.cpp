#include "bench/html.h"

#include <unistd.h>

#include <fstream>

#include "bench/svg.h"
#include "tests/testing.h"

namespace fathom::bench {

namespace fs = std::filesystem;

static Report report_of(const std::string& created, double seconds) {
  Report report;
  report.created = created;
  report.machine.cpu = "A <fast> CPU";
  report.ceilings = {2e11, 4e11, 2e10};
  Row row;
  row.name = "attention/forward/S/518x518/b1/f32", row.op = "attention", row.pass = "forward";
  row.size = "S/518x518/b1", row.flops = 2.88e9, row.bytes = 8.4e6, row.bound = "compute";
  row.warm = {{seconds}, {2.88e9 / 2e11 / seconds}, 1};
  Row bad = row;
  bad.name = "gelu/forward/S/518x518/b1/f32", bad.failure = "relative error 1";
  Row encoder = row;
  encoder.name = "model/encoder/S/518x518/b1/f32", encoder.op = "model", encoder.pass = "encoder";
  report.rows = {row, bad, encoder};
  return report;
}

TEST_CASE("bench html: a page holds all parts and refers to nothing outside") {
  PageContent content;
  content.reports = {report_of("2026-01-01T00:00:00Z", 0.02),
                     report_of("2026-01-02T00:00:00Z", 0.01)};
  content.baselines = {{"b.json",
                        "cpu",
                        "model",
                        {{"fathom f32", "f32", 2, 500, 100}, {"other <f32>", "f32", 2, 750, 400}}}};
  const std::string html = page(content);
  for (const char* part :
       {"Roofline", "Share of the roofline by op", "Models", "History", "All rows",
        "Against other libraries", "x 1.50", "FAILED: relative error 1", "A &lt;fast&gt; CPU",
        "other &lt;f32&gt;", "x 0.5", "10.000 ms"})
    CHECK_THAT(html, Catch::Contains(part));
  for (const char* outside : {"http://", "https://", "src=", "href=", "@import", "url("})
    CHECK_THAT(html, !Catch::Contains(outside));
  CHECK_THAT(html,
             !Catch::Contains("<fast>") && !Catch::Contains("nan") && !Catch::Contains("inf,"));
  const auto count = [&](const std::string& part) {
    size_t n = 0;
    for (size_t at = html.find(part); at != std::string::npos; at = html.find(part, at + 1)) ++n;
    return n;
  };
  CHECK(count("<svg ") == count("</svg>"));
  CHECK(count("<title>") == count("</title>"));
}

TEST_CASE("bench html: files are told apart by content") {
  const fs::path folder = fs::temp_directory_path() / ("fathom-html-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return folder / name;
  };
  const fs::path newer = write("a.json", json_of(report_of("2026-01-02T00:00:00Z", 1)));
  const fs::path older = write("b.json", json_of(report_of("2026-01-01T00:00:00Z", 1)));
  const fs::path bars = write("c.json", R"({"cpu": "x", "model": "y", "rows": [{"name": "torch",
      "group": "f32", "threads": 2, "median_ms": 3.5, "peak_mib": 1}]})");
  const PageContent content = read_page_content({newer, older, bars});
  REQUIRE(content.reports.size() == 2);
  CHECK(content.reports[0].created < content.reports[1].created);
  REQUIRE(content.baselines.size() == 1);
  CHECK(content.baselines[0].bars[0].median_ms == 3.5);
  CHECK_THROWS_WITH(read_page_content({write("d.json", "{\"rows\": []}")}),
                    Catch::Contains("d.json: neither a report"));
  CHECK_THROWS_WITH(read_page_content({write("e.json", "{")}), Catch::Contains("e.json"));
  CHECK_THROWS_WITH(page({}), Catch::Contains("no report"));
  fs::remove_all(folder);
}

TEST_CASE("bench html: axes put values between their ends and lines at round numbers") {
  const Axis linear{0, 563, 100}, decades{0.5, 2000, 400, true};
  CHECK(linear.at(563) == Approx(100));
  CHECK(linear.ticks() == std::vector<double>{0, 200, 400});
  CHECK(decades.at(0.5) == Approx(0));
  CHECK(decades.at(2000) == Approx(400));
  const std::vector<double> ticks = decades.ticks();
  REQUIRE(ticks.size() == 4);
  CHECK(ticks[0] == Approx(1));
  CHECK(ticks[3] == Approx(1000));
  CHECK(Axis{40, 300, 100, true}.ticks() == std::vector<double>{50, 100, 200});
  CHECK(escaped("a<b & \"c\"") == "a&lt;b &amp; &quot;c&quot;");
  CHECK(short_number(1234.5) == "1234");
  CHECK(short_number(0.1234) == "0.123");
  CHECK(short_number(10) == "10");
}

}  // namespace fathom::bench
