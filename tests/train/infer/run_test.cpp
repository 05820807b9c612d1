#include "train/infer/run.h"

#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/npy.h"
#include "core/pfm.h"
#include "core/png.h"
#include "tests/models/tiny_model.h"
#include "tests/pictures.h"
#include "tests/testing.h"

namespace fathom {

namespace fs = std::filesystem;

namespace {

struct Run {
  fs::path root = fs::temp_directory_path() / ("fathom-run-" + std::to_string(::getpid()));
  DepthAnything model;
  std::vector<InferInput> inputs;
  InferRun run;

  explicit Run(DepthKind kind = DepthKind::relative) : model(tiny_model(kind)) {
    fs::create_directories(root / "in");
    run.model = &model;
    run.source = {"tiny", 2, kind, model.config.max_depth_m, "tiny.safetensors", "0", "f32", "cpu"};
    run.output = {root / "out", {OutputFormat::npy, OutputFormat::pfm}, {}};
    if (can_write_png())
      run.output.formats = {OutputFormat::png16, OutputFormat::npy, OutputFormat::pfm,
                            OutputFormat::color, OutputFormat::side};
  }
  ~Run() { fs::remove_all(root); }

  void photo(const char* name, int height, int width) {
    Image8 image{height, width, 3, {}};
    for (int i = 0; i < height * width * 3; ++i) image.pixels.push_back(uint8_t(i * 7 % 251));
    write_ppm(root / "in" / name, image);
    inputs.push_back({root / "in" / name, fs::path(name).stem()});
  }
  InferReport go(int64_t batch = 1) {
    return run_inference(run,
                         plan_inference(inputs, model.config, DType::f32, batch, {.size = 56}));
  }
  fs::path out(const char* name) const { return root / "out" / name; }
};

nlohmann::json sidecar(const fs::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

}  // namespace

TEST_CASE("infer run: every format holds the same map at the photo's size") {
  if (!built_with_png()) return;
  Run run;
  run.photo("p.ppm", 45, 61);
  const InferReport report = run.go();
  CHECK(report.written == 1);
  CHECK(report.failures.empty());

  const FloatMap npy = read_npy(run.out("p.npy")), pfm = read_pfm(run.out("p.pfm"));
  CHECK(npy.height == 45);
  CHECK(npy.width == 61);
  CHECK(npy.values == pfm.values);

  const nlohmann::json about = sidecar(run.out("p.json"));
  CHECK(about["kind"] == "disparity");
  CHECK(about["unit"].is_null());
  CHECK(about["direction"] == "larger is nearer");
  CHECK(about["network_input"]["height"] == 56);
  CHECK(about["files"].size() == 5);
  const auto& png = about["files"][0];
  const FloatMap restored =
      restore(read_image16(run.out("p_depth.png")), {png["scale"], png["offset"]});
  // 16 bits over the range: half a step.
  for (size_t i = 0; i < npy.values.size(); ++i)
    REQUIRE(std::abs(restored.values[i] - npy.values[i]) <= 0.51 * double(png["scale"]));

  CHECK(read_image(run.out("p_color.png")).width == 61);
  CHECK(read_image(run.out("p_side.png")).width == 61 + 50 + 61);
}

TEST_CASE("infer run: metric maps are stored in millimetres and say so") {
  if (!built_with_png()) return;
  Run run(DepthKind::metric);
  run.photo("p.ppm", 40, 40);
  CHECK(run.go().written == 1);
  const nlohmann::json about = sidecar(run.out("p.json"));
  CHECK(about["unit"] == "metres");
  CHECK(about["direction"] == "larger is farther");
  CHECK(about["max_depth_m"] == 20);
  CHECK(about["files"][0]["scale"] == 0.001);
  const FloatMap npy = read_npy(run.out("p.npy"));
  const Image16 png = read_image16(run.out("p_depth.png"));
  for (size_t i = 0; i < npy.values.size(); ++i)
    REQUIRE(std::abs(png.pixels[i] - 1000 * npy.values[i]) <= 0.51);
}

TEST_CASE("infer run: a batch gives the same maps as single photos") {
  Run single, batched;
  for (Run* run : {&single, &batched}) {
    run->run.output.folder = run->root / (run == &single ? "one" : "many");
    run->run.output.formats = {OutputFormat::npy};
    for (const char* name : {"a.ppm", "b.ppm", "c.ppm"}) run->photo(name, 48, 64);
  }
  CHECK(single.go(1).written == 3);
  CHECK(batched.go(2).written == 3);
  for (const char* name : {"a.npy", "b.npy", "c.npy"})
    CHECK(read_npy(single.root / "one" / name).values ==
          read_npy(batched.root / "many" / name).values);
}

TEST_CASE("infer run: bad photos are reported and the rest is done") {
  Run run;
  run.photo("a.ppm", 40, 40);
  run.photo("b.ppm", 40, 40);
  fs::resize_file(run.root / "in" / "b.ppm", 60);  // header intact, pixels gone
  run.inputs.push_back({run.root / "in" / "absent.ppm", "absent"});
  int64_t updates = 0;
  run.run.on_progress = [&](const InferReport&) { ++updates; };
  const InferReport report = run.go();
  CHECK(report.photos == 3);
  CHECK(report.written == 1);
  REQUIRE(report.failures.size() == 2);
  CHECK(fs::exists(run.out("a.json")));
  CHECK_FALSE(fs::exists(run.out("b.json")));
  CHECK(updates >= 3);
}

TEST_CASE("infer run: a photo that fails last is reported too") {
  Run run;
  run.photo("a.ppm", 40, 40);
  run.photo("b.ppm", 40, 40);
  const InferPlan plan = plan_inference(run.inputs, run.model.config, DType::f32, 1, {.size = 56});
  fs::remove(run.root / "in" / "b.ppm");
  size_t reported = 0;
  run.run.on_progress = [&](const InferReport& report) { reported = report.failures.size(); };
  CHECK(run_inference(run.run, plan).failures.size() == 1);
  CHECK(reported == 1);
}

TEST_CASE("infer run: weights that give no finite depth are reported") {
  Run run;
  run.photo("a.ppm", 40, 40);
  run.model.depth_head.scratch.output_conv2.conv2.bias = full({1}, NAN);
  const InferReport report = run.go();
  REQUIRE(report.failures.size() == 1);
  CHECK_THAT(report.failures[0].reason, Catch::Contains("not finite"));
  CHECK_FALSE(fs::exists(run.out("a.npy")));
}

TEST_CASE("infer run: stops when asked") {
  Run run;
  for (const char* name : {"a.ppm", "b.ppm", "c.ppm"}) run.photo(name, 40, 40);
  std::atomic<bool> stop{false};
  run.run.stop = &stop;
  run.run.on_progress = [&](const InferReport& report) { stop = report.written == 1; };
  const InferReport report = run.go();
  CHECK(report.stopped);
  CHECK(report.written == 1);
}

TEST_CASE("infer run: an output folder that cannot be written is a failure of each photo") {
  Run run;
  run.photo("a.ppm", 40, 40);
  std::ofstream(run.root / "file").put('x');
  run.run.output.folder = run.root / "file";
  const InferReport report = run.go();
  REQUIRE(report.failures.size() == 1);
  CHECK_THAT(report.failures[0].reason, Catch::Contains("cannot create the folder"));
}

}  // namespace fathom
