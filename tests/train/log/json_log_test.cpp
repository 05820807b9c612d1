#include "train/log/json_log.h"

#include <cmath>
#include <fstream>

#include "core/file.h"
#include "tests/scratch.h"
#include "tests/testing.h"

namespace fathom {

TEST_CASE("json log: lines come back, and what is not finite is null") {
  const ScratchFolder scratch("json-log");
  const auto path = scratch.path / "log.jsonl";
  CHECK(read_json_log(path).empty());
  {
    JsonLog log(path, 0);
    log.write(1, 0.5, {{"train/loss", 0.1 + 0.2}, {"lr", 5e-6}});
    log.write(2, 1.0, {{"train/loss", NAN}, {"lr", 4e-6}});
  }
  CHECK_THAT(read_text(path), Catch::Contains(R"({"step":1,"time_s":0.5,"train/loss":0.3000)") &&
                                  Catch::Contains(R"("train/loss":null)"));
  const auto lines = read_json_log(path);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].step == 1);
  CHECK(lines[0].time_s == 0.5);
  CHECK(lines[0].values == LogValues{{"train/loss", 0.1 + 0.2}, {"lr", 5e-6}});
  CHECK(lines[1].values == LogValues{{"lr", 4e-6}});
}

TEST_CASE("json log: a run that goes on drops the steps it repeats and a torn last line") {
  const ScratchFolder scratch("json-log");
  const auto path = scratch.path / "log.jsonl";
  {
    JsonLog log(path, 0);
    for (const int64_t step : {10, 20, 30}) log.write(step, double(step), {{"loss", 1.0}});
  }
  std::ofstream(path, std::ios::app) << R"({"step":40,"time)";
  { JsonLog(path, 20).write(30, 99, {{"loss", 2.0}}); }
  const auto lines = read_json_log(path);
  REQUIRE(lines.size() == 3);
  CHECK(lines[1].step == 20);
  CHECK(lines[2].time_s == 99);
}

TEST_CASE("json log: other files are refused") {
  const ScratchFolder scratch("json-log");
  const auto path = scratch.path / "log.jsonl";
  std::ofstream(path) << "{\"step\":1}\nnot a line\n";
  CHECK_THROWS_WITH(read_json_log(path), Catch::Contains("line 2 is not one of a training log"));
  for (const char* line : {R"({"step":1,"time_s":"x"})", R"({"step":1,"time_s":null})",
                           R"({"step":1.5})", R"({"time_s":1})", "[1]"}) {
    CAPTURE(line);
    std::ofstream(path) << line << "\n";
    CHECK_THROWS_WITH(read_json_log(path), Catch::Contains("line 1 is not one of a training log"));
  }
}

}  // namespace fathom
