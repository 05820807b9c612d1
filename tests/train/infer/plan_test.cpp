#include "train/infer/plan.h"

#include <unistd.h>

#include "core/allocator.h"
#include "tests/models/hash_fill.h"
#include "tests/pictures.h"
#include "tests/testing.h"

namespace fathom {

namespace fs = std::filesystem;

// A folder of black pictures that goes away with the test.
struct Photos {
  fs::path root = fs::temp_directory_path() / ("fathom-plan-" + std::to_string(::getpid()));
  Photos() { fs::create_directories(root); }
  ~Photos() { fs::remove_all(root); }
  InferInput add(const char* name, int height, int width) const {
    const fs::path path = root / name;
    write_ppm(path, Image8{height, width, 3, std::vector<uint8_t>(size_t(height * width * 3))});
    return {path, path.stem()};
  }
};

static const DepthAnythingConfig kS = depth_anything_config(2, ModelSize::S);

TEST_CASE("infer plan: the pixel cap shrinks large inputs to multiples of 14") {
  const ImageSize panorama{100, 1000};
  CHECK(network_size(panorama, {}) == ImageSize{518, 5180});
  const ImageSize capped = network_size(panorama, {.max_pixels = 518 * 518});
  CHECK(capped.height % 14 == 0);
  CHECK(capped.width % 14 == 0);
  CHECK(capped.height * capped.width <= 518 * 518);
  CHECK(double(capped.width) / double(capped.height) == Approx(10).epsilon(0.1));
  CHECK(network_size({480, 640}, {.max_pixels = 518 * 686}) == ImageSize{518, 686});
}

TEST_CASE("infer plan: photos of one network size share batches") {
  const Photos photos;
  const std::vector<InferInput> inputs{photos.add("a.ppm", 48, 64), photos.add("b.ppm", 64, 48),
                                       photos.add("c.ppm", 96, 128), photos.add("d.ppm", 48, 64)};
  const InferPlan plan = plan_inference(inputs, kS, DType::f32, 2, {.size = 56});
  REQUIRE(plan.batches.size() == 3);
  CHECK(plan.batches[0].size() == 2);  // a, c
  CHECK(plan.batches[0][1].input.stem == "c");
  CHECK(plan.batches[1].size() == 1);  // b
  CHECK(plan.batches[2].size() == 1);  // d
  CHECK(plan.refused.empty());
}

TEST_CASE("infer plan: unreadable photos are refused and the rest goes on") {
  const Photos photos;
  const InferPlan plan =
      plan_inference({{photos.root / "absent.ppm", "absent"}, photos.add("a.ppm", 48, 64)}, kS,
                     DType::f32, 1, {.size = 56});
  REQUIRE(plan.refused.size() == 1);
  CHECK_THAT(plan.refused[0].reason, Catch::Contains("absent.ppm"));
  CHECK(plan.batches.size() == 1);
}

TEST_CASE("infer plan: a photo beyond the memory limit is refused with numbers and a remedy") {
  const Photos photos;
  const std::vector<InferInput> inputs{photos.add("long.ppm", 10, 1000),
                                       photos.add("ok.ppm", 48, 64)};
  const InferPlan plan = plan_inference(inputs, kS, DType::f32, 1,
                                        {.size = 140, .memory_limit_bytes = int64_t(200) << 20});
  REQUIRE(plan.refused.size() == 1);
  CHECK_THAT(plan.refused[0].reason, Catch::Contains("140 x 14000") && Catch::Contains("MiB") &&
                                         Catch::Contains("--size") &&
                                         Catch::Contains("--max-pixels"));
  CHECK(plan.batches.size() == 1);
}

TEST_CASE("infer plan: batches are split to fit the memory limit") {
  const Photos photos;
  std::vector<InferInput> inputs;
  for (const char* name : {"a.ppm", "b.ppm", "c.ppm", "d.ppm"})
    inputs.push_back(photos.add(name, 64, 64));
  const ImageSize size{56, 56};
  const int64_t two = estimate_inference_bytes(kS, DType::f32, 2, size);
  const InferPlan plan =
      plan_inference(inputs, kS, DType::f32, 4, {.size = 56, .memory_limit_bytes = two});
  REQUIRE(plan.batches.size() == 2);
  CHECK(plan.batches[0].size() == 2);
  CHECK(plan.peak_bytes == two);
}

TEST_CASE("infer plan: the estimate bounds the measured peak") {
  const auto [height, width, batch] =
      GENERATE(table<int64_t, int64_t, int64_t>({{70, 98, 1}, {518, 518, 1}, {140, 280, 3}}));
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  CAPTURE(height, width, batch, dtype);
  const NoGrad no_grad;
  const int64_t before = allocator::statistics().current_bytes;
  DepthAnything model(kS);
  fill_with_hash(model, 4);
  prepare_for_inference(model, dtype);
  const Tensor image = random_tensor({batch, height, width, 3});
  allocator::reset_peak();
  model(image.to(dtype)).to(DType::f32);
  const int64_t peak = allocator::statistics().peak_bytes - before;
  const int64_t estimate = estimate_inference_bytes(kS, dtype, batch, {height, width});
  CHECK(peak <= estimate);
  CHECK(estimate <= peak + peak / 4);
}

}  // namespace fathom
