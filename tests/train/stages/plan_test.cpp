#include "train/stages/plan.h"

#include "core/allocator.h"
#include "tests/scratch.h"
#include "tests/testing.h"
#include "tests/train/stages/made_scenes.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/stages/model.h"

namespace fathom {

namespace fs = std::filesystem;
using Catch::Contains;

TEST_CASE("plan: steps follow from epochs, images and batches, unless they are given") {
  const ScratchFolder scratch("plan");
  make_scenes(scratch.path, 10);
  TrainConfig config = scene_config(scratch.path);
  CHECK(plan_stage(config, StageName::teacher).steps == 6);
  config.teacher.steps = 0;
  config.teacher.epochs = 3;
  const StagePlan plan = plan_stage(config, StageName::teacher);
  CHECK(plan.labeled == 10);
  CHECK(plan.steps == 8);  // 30 images in batches of 4
  config.optimizer.accumulate = 3;
  CHECK(plan_stage(config, StageName::teacher).steps == 3);
}

TEST_CASE("plan: the shipped configurations can be planned without their data") {
  const fs::path folder = fs::path(FATHOM_TEST_DATA) / "../../train/configs";
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    CAPTURE(name);
    TrainConfig config = read_config(entry.path());
    ++files;
    if (name == "tiny.json") continue;  // has no data of its own
    model_config(config);               // the size is one that exists
    config.model.size = "S";            // but gigabytes of weights are not made here
    const StageName stage = name.find("student") != std::string::npos   ? StageName::student
                            : name.find("teacher") != std::string::npos ? StageName::teacher
                                                                        : StageName::metric;
    const std::string text = describe_plan(config, stage);
    CHECK_THAT(text, Contains("stage       " + name_of(stage)));
    CHECK_THAT(text, Contains("missing     ") && Contains("parameters") && Contains("memory"));
  }
  CHECK(files == 13);
}

TEST_CASE("plan: the memory estimate holds a training step, and not much more") {
  TrainConfig config = scene_config("unused", 140);
  config.optimizer.ema = GENERATE(0.0, 0.9);
  const int64_t B = GENERATE(1, 6);
  const DepthAnythingConfig network = model_config(config);
  const int64_t before = allocator::statistics().current_bytes;
  allocator::reset_peak();
  {
    DepthAnything model = starting_model(config, DepthKind::relative);
    require_grad(model);
    Optimizer optimizer({.average_decay = config.optimizer.ema});
    optimizer.add(model);
    const int64_t S = config.data.size;
    const Tensor image = random_tensor({B, S, S, 3}), target = random_tensor({B, S, S});
    const Tensor mask = full({B, S, S}, 1, {DType::boolean, kCpu});
    LossReport report;
    const Tensor loss = depth_loss(model(image), target, mask, {}, "labeled", report);
    backward(loss);
    optimizer.accumulate(loss);
    optimizer.step(1);
  }
  const auto peak = double(allocator::statistics().peak_bytes - before);
  const auto estimate = double(estimate_training_bytes(network, config, B, 0));
  CAPTURE(peak, estimate, B);
  CHECK(peak < 1.1 * estimate);
  CHECK(estimate < 1.6 * peak);
}

}  // namespace fathom
