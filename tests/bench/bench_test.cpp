#include "bench/bench.h"

#include <set>

#include "bench/plan.h"
#include "tests/bench/tiny_setting.h"
#include "tests/testing.h"

namespace fathom::bench {

// Runs everything once; its clock stands still.
static const Meter kStill{.device = kCpu,
                          .clock = "none",
                          .seconds =
                              [](const Work& work, int64_t) {
                                if (work.prepare) work.prepare();
                                work.call();
                                return 1.0;
                              },
                          .flush = [] {},
                          .peak_flops = [](DType) { return 1e12; },
                          .memory_bytes = [] { return 1e10; },
                          .flushed_bytes = 0};

TEST_CASE("bench: a setting knows the sizes of the decoder's maps") {
  const Setting s{depth_anything_config(2, ModelSize::S), "S", 518, 686, 2};
  CHECK(s.size() == "S/518x686/b2");
  CHECK(s.tokens() == 1 + 37 * 49);
  CHECK(s.level_h(0) == 148);
  CHECK(s.level_w(0) == 196);
  CHECK(s.level_h(3) == 19);
  CHECK(s.level_w(3) == 25);
  CHECK_THROWS_WITH(s.level_h(4), Catch::Contains("levels 0 to 3"));
}

TEST_CASE("bench: every row has a name of its own, and filters choose among them") {
  Selection all;
  const std::vector<std::string> names = list_kernels(all);
  CHECK(names.size() > 300);
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  all.filter = "^attention/backward/[SL]";
  all.dtypes = {DType::bf16};
  CHECK(list_kernels(all) == std::vector<std::string>{"attention/backward/S/518x518/b1/bf16",
                                                      "attention/backward/S/518x686/b1/bf16",
                                                      "attention/backward/L/518x518/b1/bf16"});
  all.images = {{518, 686}};
  CHECK(list_kernels(all) == std::vector<std::string>{"attention/backward/S/518x686/b1/bf16",
                                                      "attention/backward/L/518x686/b1/bf16"});
  all.filter = "(";
  CHECK_THROWS_WITH(list_kernels(all), Catch::Contains("not a regular expression"));
}

TEST_CASE("bench: a GPU has no loops of the CPU, and batches are listed one after another") {
  Selection gpu{.models = {ModelSize::S},
                .batches = {1, 16},
                .dtypes = {DType::bf16},
                .device = {Device::Type::cuda, 0}};
  for (const std::string& name : list_kernels(gpu)) CHECK_FALSE(name.starts_with("cpu_"));
  gpu.filter = "^attention/forward";
  CHECK(list_kernels(gpu) == std::vector<std::string>{"attention/forward/S/518x518/b1/bf16",
                                                      "attention/forward/S/518x518/b16/bf16"});
}

TEST_CASE("bench: what a time budget leaves out is named, and nothing of it is done") {
  const Selection layers{
      .models = {ModelSize::S}, .images = {{14, 14}}, .filter = "^layer_scale/forward"};
  CeilingLog ceilings(kStill);
  int64_t rows = 0;
  const auto run = [&](double budget_s) {
    return run_kernels(kStill, ceilings, layers, {.repeat = 1, .least = 1, .cold = false}, budget_s,
                       [&](const Row&) { ++rows; });
  };
  CHECK(run(1e-12) == list_kernels(layers));
  CHECK(rows == 0);
  CHECK(run(0).empty());
  CHECK(rows == 2);
}

// Every registered op in a model small enough for a test, with its real costs and error bounds.
TEST_CASE("bench: every entry is right at a small size") {
  const Setting tiny = tiny_setting(56, 70, 2);
  CeilingLog ceilings(kStill);
  const Effort once{.repeat = 1, .least = 1, .cold = false};
  int64_t rows = 0;
  for (const Entry& entry : entries()) {
    Run run({tiny}, [&](const Case& measured) {
      run_case(
          kStill, ceilings, entry.name, measured, once, [](const std::string&) { return true; },
          [&](const Row& row) {
            ++rows;
            CAPTURE(row.name, row.error, row.error_bound);
            CHECK(row.failure == "");
            CHECK(row.flops + row.bytes > 0);
            CHECK(row.error_bound < 0.05);  // a bound that fails nothing is no bound
          });
    });
    entry.body(run);
  }
  CHECK(rows > 100);
}

}  // namespace fathom::bench
