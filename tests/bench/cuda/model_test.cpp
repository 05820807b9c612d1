// Models measured on a GPU, or on the kernel host.
#include <unistd.h>

#include <algorithm>

#include "bench/cuda/meter.h"
#include "bench/model_bench.h"
#include "core/cuda.h"
#include "models/save.h"
#include "tests/models/hash_fill.h"
#include "tests/testing.h"

namespace fathom::bench {
namespace {

namespace fs = std::filesystem;

// A checkpoint of a model that is small enough, for as long as the test runs.
struct TinyCheckpoint {
  fs::path path =
      fs::temp_directory_path() / ("fathom-bench-" + std::to_string(::getpid()) + ".safetensors");
  TinyCheckpoint() {
    DepthAnything model({.encoder = {.channels = 64, .layers = 4, .heads = 1, .hidden = 128},
                         .head = {.features = 16, .out_channels = {16, 16, 16, 16}},
                         .taps = {0, 1, 2, 3}});
    fill_with_hash(model, 4);
    save_model(path, model, 2);
  }
  ~TinyCheckpoint() { fs::remove(path); }
};

const Row& named(const ModelRows& rows, const std::string& pass) {
  for (const Row& row : rows.rows)
    if (row.pass == pass) return row;
  fail("no row of ", pass);
}

ModelRows run(const ModelBench& bench) {
  const Meter meter =
      cuda_meter(0, {.copied_bytes = 1 << 12, .product_side = 8, .flushed_bytes = 1 << 12});
  CeilingLog ceilings(meter);
  const Effort twice{.repeat = 2, .min_time_s = 0, .least = 2, .sample_s = 0};
  return run_model(meter, ceilings, bench, twice);
}

// As the list of rows promises, in order.
void check_passes(const ModelRows& rows, const ModelBench& bench) {
  const std::vector<std::string> names = model_row_names(bench, {Device::Type::cuda, 0});
  REQUIRE(rows.rows.size() == names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    CAPTURE(names[i], rows.rows[i].failure);
    CHECK(names[i].find("/" + rows.rows[i].pass + "/") != std::string::npos);
    CHECK_FALSE(rows.rows[i].failed());
    CHECK(rows.rows[i].device == "cuda:0");
    CHECK(rows.rows[i].warm.samples_s.size() == 2);
  }
}

}  // namespace

TEST_CASE("cuda model bench: inference has its windows, a graph, and the right result") {
  if (cuda_devices().empty()) return;
  const TinyCheckpoint file;
  const ModelBench bench{.image = {14, 14}, .batch = 2, .dtype = DType::bf16, .weights = file.path};
  const ModelRows rows = run(bench);
  check_passes(rows, bench);
  for (const char* pass : {"network", "network_graph"}) {
    const Row& row = named(rows, pass);
    CAPTURE(row.name, row.error, row.error_bound);
    CHECK(row.error > 0);
    CHECK(row.error <= row.error_bound);
    CHECK(row.more.at("images_per_s") == Approx(2 / row.warm.median_s()));
    CHECK(row.allocated_bytes > 2 * 14 * 14 * 4);
  }
  const auto at = [&](const char* pass) { return named(rows, pass).warm.samples_s[1]; };
  CHECK(at("network") == Approx(at("encoder") + at("decoder")));
  CHECK(at("total") == Approx(at("decode") + at("resize") + at("upload") + at("network") +
                              at("download") + at("post") + at("write")));
}

TEST_CASE("cuda model bench: a training step has its windows, and its gradients as a graph") {
  if (cuda_devices().empty()) return;
  const TinyCheckpoint file;
  ModelBench bench{.image = {14, 28}, .dtype = DType::bf16, .training = true, .weights = file.path};
  const ModelRows rows = run(bench);
  check_passes(rows, bench);
  const auto at = [&](const char* pass) { return named(rows, pass).warm.samples_s[1]; };
  CHECK(at("step") == Approx(at("forward") + at("backward") + at("optimizer")));

  bench.dtype = DType::f16;
  const ModelRows refused = run(bench);
  REQUIRE(refused.rows.size() == 1);
  CHECK_THAT(refused.rows[0].failure, Catch::Contains("f32 or bf16"));
}

}  // namespace fathom::bench
