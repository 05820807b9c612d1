#include "bench/model_bench.h"

#include <set>

#include "core/parallel.h"
#include "tests/testing.h"

namespace fathom::bench {

static const Meter kStill{.device = kCpu,
                          .clock = "none",
                          .seconds = [](const Work&, int64_t) { return 1.0; },
                          .flush = [] {},
                          .peak_flops = [](DType) { return 1e12; },
                          .memory_bytes = [] { return 1e11; },
                          .flushed_bytes = 0};

static const Effort kOnce{.repeat = 2, .min_time_s = 0, .least = 2};

static const Row& named(const ModelRows& rows, const std::string& pass) {
  for (const Row& row : rows.rows)
    if (row.pass == pass) return row;
  fail("no row of ", pass);
}

TEST_CASE("bench model: windows of inference add up, with costs, memory and an error") {
  CeilingLog ceilings(kStill);
  const ModelBench bench{.image = {28, 42}, .batch = 2, .dtype = DType::bf16};
  const ModelRows rows = run_model(kStill, ceilings, bench, kOnce);
  std::vector<std::string> names;
  for (const Row& row : rows.rows) names.push_back(row.name);
  CHECK(names == model_row_names(bench));
  const auto at = [&](const std::string& pass, size_t i) {
    return named(rows, pass).warm.samples_s.at(i);
  };
  for (const size_t i : {0, 1}) {
    CHECK(at("network", i) == Approx(at("encoder", i) + at("decoder", i)));
    CHECK(at("total", i) == Approx(at("decode", i) + at("resize", i) + at("network", i) +
                                   at("post", i) + at("write", i)));
  }
  const Row& network = named(rows, "network");
  CAPTURE(network.error, network.failure);
  CHECK_FALSE(network.failed());
  CHECK(network.error > 0);
  CHECK(network.error < network.error_bound);
  CHECK(network.images == 2);
  CHECK(network.allocated_bytes > 24 << 20);  // its 24.8 M parameters alone take 47 MiB
  CHECK(network.flops == Approx(named(rows, "encoder").flops + named(rows, "decoder").flops));
  CHECK(network.more.at("images_per_s") == Approx(2 / network.warm.median_s()));
  CHECK(network.more.at("model_flop_utilisation") ==
        Approx(network.flops / 1e12 * (1 / at("network", 0) + 1 / at("network", 1)) / 2));
  CHECK(named(rows, "decode").bound.empty());
  CHECK(named(rows, "decode").error_bound == 0);
  CHECK(named(rows, "total").error == network.error);
}

TEST_CASE("bench model: a training step has three windows in both dtypes") {
  CeilingLog ceilings(kStill);
  const ModelBench bench{
      .image = {28, 28}, .dtype = GENERATE(DType::f32, DType::bf16), .training = true};
  const ModelRows rows = run_model(kStill, ceilings, bench, kOnce);
  REQUIRE(rows.rows.size() == 4);
  const Row& step = named(rows, "step");
  CHECK(step.op == "train");
  CHECK(step.flops == Approx(named(rows, "forward").flops + named(rows, "backward").flops));
  CHECK(named(rows, "optimizer").bound == "memory");
  CHECK(step.warm.samples_s[1] == Approx(named(rows, "forward").warm.samples_s[1] +
                                         named(rows, "backward").warm.samples_s[1] +
                                         named(rows, "optimizer").warm.samples_s[1]));
}

}  // namespace fathom::bench
