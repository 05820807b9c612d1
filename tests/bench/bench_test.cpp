#include "bench/bench.h"

#include <set>

#include "bench/plan.h"
#include "tests/testing.h"

namespace fathom::bench {

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

// Every registered op in a model small enough for a test, with its real costs and error bounds.
TEST_CASE("bench: every entry is right at a small size") {
  Setting tiny{depth_anything_config(2, ModelSize::S), "S", 56, 70, 2};
  tiny.model.encoder.channels = 64;
  tiny.model.encoder.hidden = 256;
  tiny.model.encoder.heads = 1;
  tiny.model.encoder.layers = 1;
  tiny.model.head = {.features = 16, .out_channels = {16, 16, 32, 48}};
  const Meter still{.device = kCpu,
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
  CeilingLog ceilings(still);
  const Effort once{.repeat = 1, .least = 1, .cold = false};
  int64_t rows = 0;
  for (const Entry& entry : entries()) {
    Run run({tiny}, [&](const Case& measured) {
      run_case(
          still, ceilings, entry.name, measured, once, [](const std::string&) { return true; },
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
