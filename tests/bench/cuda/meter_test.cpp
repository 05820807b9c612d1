#include "bench/cuda/meter.h"

#include "bench/harness.h"
#include "core/cuda.h"
#include "kernels/gelu.h"
#include "tests/bench/tiny_setting.h"
#include "tests/testing.h"

namespace fathom::bench {
namespace {

bool absent() { return cuda_devices().empty(); }

// Ceilings of almost nothing: what they are does not matter here.
Meter quick_meter() {
  return cuda_meter(0, {.copied_bytes = 1 << 12, .product_side = 8, .flushed_bytes = 1 << 12});
}

std::vector<Row> run_all(const Meter& meter, const std::string& op, const Case& measured,
                         const Effort& effort) {
  CeilingLog ceilings(meter);
  std::vector<Row> rows;
  run_case(
      meter, ceilings, op, measured, effort, [](const std::string&) { return true; },
      [&](Row row) { rows.push_back(std::move(row)); });
  return rows;
}

Case gelu_case() {
  return {.size = "3x33",
          .inputs = {{3, 33}},
          .op = [](const Tensors& in) { return gelu(in[0]); },
          .forward = {.values = 2 * 3 * 33},
          .backward = {.values = 3 * 3 * 33}};
}

}  // namespace

TEST_CASE("cuda meter: every entry is right on the device and measured as a replayed graph") {
  if (absent()) return;
  const Meter meter = quick_meter();
  CeilingLog ceilings(meter);
  const Effort once{.repeat = 1, .min_time_s = 0, .least = 1, .sample_s = 0, .cold = false};
  int64_t rows = 0;
  for (const Entry& entry : entries()) {
    if (entry.name == "bilinear_depth_map") continue;  // a photo's size: long on the kernel host
    Run run({tiny_setting(28, 28, 1)}, [&](const Case& measured) {
      if (measured.cpu_only) return;
      // One dtype of each: the ops' tests take them all.
      const DType dtype = measured.dtypes.back();
      run_case(
          meter, ceilings, entry.name, measured, once,
          [&](const std::string& name) { return name.ends_with(name_of(dtype)); },
          [&](const Row& row) {
            ++rows;
            CAPTURE(row.name, row.error, row.error_bound);
            CHECK(row.failure == "");
            if (row.failed()) return;
            CHECK(row.device == "cuda:0");
            CHECK(row.more.at("graph_replay") == 1);
            CHECK(row.warm.samples_s.size() == 1);
          });
    });
    entry.body(run);
  }
  CHECK(rows > 50);
}

TEST_CASE("cuda meter: a row has warm and flushed times, a share of the ceilings, and its memory") {
  if (absent()) return;
  const Effort effort{.repeat = 3, .min_time_s = 0, .least = 2, .sample_s = 1e-5, .cold = true};
  Meter meter = quick_meter();
  meter.flushed_bytes = 1e12;  // whatever the time of a call
  for (const Row& row : run_all(meter, "gelu", gelu_case(), effort)) {
    CAPTURE(row.name, row.failure);
    REQUIRE_FALSE(row.failed());
    CHECK(row.warm.replayed);
    CHECK(row.warm.median_s() > 0);
    CHECK(row.warm.roofline_share() > 0);
    REQUIRE(row.cold);
    CHECK(row.cold->samples_s.size() == 2);
    CHECK(row.cold->median_s() > 0);
    CHECK(row.allocated_bytes >= 3 * 33 * size_of(row.dtype));
    CHECK(row.allocations >= 1);
  }
}

TEST_CASE("cuda meter: work that waits for the device is measured by its calls, and says so") {
  if (absent()) return;
  Case waits = gelu_case();
  waits.op = [](const Tensors& in) {
    const Tensor y = gelu(in[0]);
    y.to(kCpu);
    return y;
  };
  const Effort once{.repeat = 1, .min_time_s = 0, .least = 1, .sample_s = 0, .cold = false};
  const std::vector<Row> rows = run_all(quick_meter(), "gelu", waits, once);
  REQUIRE(rows.size() == 4);
  for (const Row& row : rows) {
    CAPTURE(row.name, row.failure);
    REQUIRE_FALSE(row.failed());
    CHECK(row.more.at("graph_replay") == (row.pass == "forward" ? 0 : 1));
    CHECK(row.warm.median_s() > 0);
  }
}

TEST_CASE("cuda meter: a kernel that is right once only, or fails, gets no number") {
  if (absent()) return;
  int calls = 0;
  Case wrong = gelu_case();
  wrong.backward = {};
  wrong.dtypes = {DType::f32};
  wrong.op = [&](const Tensors& in) {
    if (in[0].device() == kCpu) return gelu(in[0]);
    return ++calls == 1 ? gelu(in[0]) : empty_like(in[0]);
  };
  const std::vector<Row> rows = run_all(quick_meter(), "gelu", wrong, {});
  REQUIRE(rows.size() == 1);
  CHECK_THAT(rows[0].failure, Catch::Contains("is right"));

  wrong.op = [](const Tensors& in) {
    check(in[0].device() == kCpu, "no such kernel");
    return gelu(in[0]);
  };
  CHECK_THAT(run_all(quick_meter(), "gelu", wrong, {}).at(0).failure,
             Catch::Contains("no such kernel"));
}

TEST_CASE("cuda meter: the device has ceilings and a fingerprint") {
  if (absent()) return;
  const Meter meter = quick_meter();
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    CHECK(meter.peak_flops(dtype) > 0);
  CHECK(meter.memory_bytes() > 0);
  const GpuFingerprint gpu = cuda_fingerprint(0);
  CHECK(gpu.name != "");
  CHECK(gpu.multiprocessors > 0);
  CHECK(gpu.memory_bytes > 0);
  cuda_libraries();
  CHECK_THROWS_WITH(cuda_meter(99), Catch::Contains("cuda:99"));
}

}  // namespace fathom::bench
