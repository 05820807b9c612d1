#include "bench/report.h"

#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/testing.h"

namespace fathom::bench {

namespace fs = std::filesystem;

static Report sample_report() {
  Report report;
  report.created = "2026-01-02T03:04:05Z";
  report.command = "fathom bench --filter \"a,b\"";
  report.clock = "wall time";
  report.machine = fingerprint();
  report.ceilings = {2e11, 4e11, 2e10};
  Row good;
  good.name = "attention/forward/S/518x518/b1/f32", good.op = "attention", good.pass = "forward";
  good.size = "S/518x518/b1", good.threads = 2, good.flops = 2.88e9, good.bytes = 8.4e6;
  good.bound = "compute", good.error = 3e-7, good.error_bound = 1e-6;
  good.warm = {{0.012, 0.010, 0.011}, {0.8, 0.9, 0.85}, 3};
  good.cold = Timing{{0.013}, {0.7}, 1};
  good.allocated_bytes = 2104320, good.allocations = 4, good.more = {{"floor_share", 0.5}};
  Row bad = good;
  bad.name = "attention/forward/S/518x518/b1/bf16", bad.dtype = DType::bf16;
  bad.failure = "relative error 1, at most 0.1 is right", bad.error = std::nan("");
  bad.warm = {}, bad.cold = {};
  report.rows = {good, bad};
  return report;
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("fathom-bench-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return path / name;
  }
};

TEST_CASE("bench: a report survives its file") {
  const Folder folder;
  const Report report = sample_report();
  const Report read = read_report(folder.write("r.json", json_of(report)));
  CHECK(json_of(read) == json_of(report));
  REQUIRE(read.rows.size() == 2);
  CHECK(read.rows[0].warm.samples_s == report.rows[0].warm.samples_s);
  CHECK(read.rows[0].warm.median_s() == 0.011);
  CHECK(read.rows[0].more.at("floor_share") == 0.5);
  CHECK(read.rows[1].failed());
  CHECK(std::isnan(read.rows[1].error));
  CHECK(read.machine.cpu == report.machine.cpu);
}

TEST_CASE("bench: a report of a GPU says which, and survives its file") {
  const Folder folder;
  Report report = sample_report();
  report.machine.gpu = {.name = "Stand-in",
                        .driver = "580.1",
                        .compute = "9.0",
                        .multiprocessors = 132,
                        .memory_bytes = int64_t(80) << 30,
                        .l2_cache_bytes = 50 << 20,
                        .max_clock_mhz = 1980,
                        .clock_mhz = 345,
                        .memory_clock_mhz = 2619};
  report.ceilings.f16_flops = 7e14;
  const Report read = read_report(folder.write("gpu.json", json_of(report)));
  CHECK(json_of(read) == json_of(report));
  REQUIRE(read.machine.gpu);
  CHECK(read.machine.gpu->multiprocessors == 132);
  CHECK(read.machine.gpu->clock_mhz == 345);
  CHECK(read.ceilings.f16_flops == 7e14);
  CHECK_FALSE(nlohmann::json::parse(json_of(sample_report())).at("machine").contains("gpu"));
}

TEST_CASE("bench: a file that is no report says why") {
  const Folder folder;
  const auto refuses = [&](const std::string& text, const std::string& reason) {
    CHECK_THROWS_WITH(read_report(folder.write("x.json", text)),
                      Catch::Contains("x.json") && Catch::Contains(reason));
  };
  refuses("{", "parse error");
  refuses("[]", "no schema");
  refuses(R"({"schema": "fathom-bench/99"})", "this program reads fathom-bench/1");
  nlohmann::json json = nlohmann::json::parse(json_of(sample_report()));
  nlohmann::json broken = json;
  broken["rows"][0]["warm"]["samples_s"] = nlohmann::json::array();
  refuses(broken.dump(), "row 1");
  broken = json;
  broken["rows"][1]["dtype"] = "f8";
  refuses(broken.dump(), "dtype f8");
  broken = json;
  broken["rows"][0]["warm"]["samples_s"][0] = -1;
  refuses(broken.dump(), "must be positive");
  broken = json;
  broken["machine"].erase("cpu");
  refuses(broken.dump(), "cpu");
}

TEST_CASE("bench: Google Benchmark's shape has every sample and the aggregates") {
  const nlohmann::json json = nlohmann::json::parse(google_json_of(sample_report()));
  const auto& list = json.at("benchmarks");
  REQUIRE(list.size() == 3 + 3 + 1);
  CHECK(list[1].at("run_type") == "iteration");
  CHECK(list[1].at("repetition_index") == 1);
  CHECK(list[1].at("real_time").get<double>() == Approx(0.010e9));
  CHECK(list[1].at("time_unit") == "ns");
  CHECK(list[4].at("aggregate_name") == "median");
  CHECK(list[4].at("name") == "attention/forward/S/518x518/b1/f32_median");
  CHECK(list[4].at("real_time").get<double>() == Approx(0.011e9));
  CHECK(list[6].at("error_occurred") == true);
  CHECK(json.at("context").contains("num_cpus"));
}

TEST_CASE("bench: a table of values has a field for each heading in every row") {
  const std::string text = csv_of(sample_report());
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  const auto fields = [](const std::string& row) {
    bool quoted = false;
    int count = 1;
    for (const char c : row) {
      if (c == '"') quoted = !quoted;
      count += c == ',' && !quoted;
    }
    return count;
  };
  const int headings = fields(line);
  int rows = 0;
  while (std::getline(lines, line)) {
    CAPTURE(line);
    CHECK(fields(line) == headings);
    ++rows;
  }
  CHECK(rows == 2);
}

TEST_CASE("bench: the table is aligned") {
  const Report report = sample_report();
  CHECK(table_header().size() == table_line(report.rows[0]).size());
  CHECK_THAT(table_line(report.rows[0]), Catch::Contains("11.000 ms") && Catch::Contains("0.85"));
  CHECK(time_text(12.3e-6) == "12.30 us");
  CHECK(time_text(1.5) == "1.500 s");
}

TEST_CASE("bench: the fingerprint names the machine and the build") {
  const Fingerprint machine = fingerprint();
  CHECK_FALSE(machine.cpu.empty());
  CHECK_FALSE(machine.revision.empty());
  CHECK(machine.cores >= 1);
  CHECK(machine.memory_bytes > int64_t(1) << 28);
  CHECK(machine.libraries.count("libc"));
  CHECK_THAT(machine.build, Catch::Contains("compiler: "));
}

}  // namespace fathom::bench
