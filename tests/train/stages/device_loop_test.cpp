// Whole runs on a CUDA device.
#include "core/cuda.h"
#include "core/file.h"
#include "models/load.h"
#include "tests/scratch.h"
#include "tests/testing.h"
#include "tests/train/stages/made_scenes.h"
#include "train/eval/evaluate.h"
#include "train/stages/teacher.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

std::string weights_of(const fs::path& run) {
  return hash_of(open_archive(RunFolder{run}.weights()));
}

}  // namespace

TEST_CASE("train: on a CUDA device, captured or not, stopped or not, and from there to the CPU") {
  if (cuda_devices().empty()) return;
  const ScratchFolder scratch("on-cuda");
  make_scenes(scratch.path / "data", 2, 14);
  TrainConfig config = scene_config(scratch.path / "data", 14);
  config.model.hidden = 64;
  config.model.features = 8;
  config.model.out_channels = {8, 8, 8, 8};
  config.data.validation.clear();
  config.teacher.batch = 1;
  config.teacher.steps = 3;  // the third is captured
  config.checkpoint.every_steps = 2;
  config.device = "cuda";
  std::string notes;
  const auto noting = [&](const std::string& note) { notes += note + "\n"; };
  const fs::path whole = scratch.path / "whole";
  const TrainReport report = train_teacher(config, {.out = whole, .on_note = noting});
  CHECK(report.counts.taken == 3);
  CHECK(notes.empty());
  // bf16 is the default here, and written down.
  CHECK(read_config(RunFolder{whole}.config()).optimizer.precision == "bf16");

  // As if it had ended after the second step; the third is taken without capturing it.
  const fs::path resumed = scratch.path / "resumed", moved = scratch.path / "moved";
  fs::copy(whole, resumed, fs::copy_options::recursive);
  fs::remove(RunFolder{resumed}.checkpoints() / "step-000000003.safetensors");
  fs::copy(resumed, moved, fs::copy_options::recursive);
  train_teacher(config, {.out = resumed, .resume = true, .on_note = noting});
  CHECK_THAT(notes, Catch::Contains("step 2 of 3"));
  CHECK(weights_of(resumed) == weights_of(whole));
  config.device = "cpu";
  CHECK(train_teacher(config, {.out = moved, .resume = true}).counts.taken == 3);
  CHECK(read_config(RunFolder{moved}.config()).optimizer.precision == "bf16");
}

}  // namespace fathom
