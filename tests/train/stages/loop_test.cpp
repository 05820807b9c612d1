#include "train/stages/loop.h"

#include <cmath>
#include <fstream>

#include "core/file.h"
#include "models/load.h"
#include "tests/scratch.h"
#include "tests/testing.h"
#include "tests/train/stages/made_scenes.h"
#include "train/stages/label.h"
#include "train/stages/metric.h"
#include "train/stages/student.h"
#include "train/stages/teacher.h"

namespace fathom {

namespace fs = std::filesystem;
using Catch::Contains;

using Train = TrainReport (*)(const TrainConfig&, const TrainOptions&);

// Trains until `steps` lines of the log were written, as if a signal came then.
static TrainReport stopped_after(Train train, const TrainConfig& config, TrainOptions options,
                                 int64_t steps) {
  std::atomic<bool> stop{false};
  options.stop = &stop;
  options.on_progress = [&](const TrainProgress& progress) { stop = progress.step >= steps; };
  return train(config, options);
}

static std::string weights_of(const fs::path& run) {
  return hash_of(open_archive(RunFolder{run}.weights()));
}

// A small teacher, and its labels, once for all cases.
static void make_pseudo_labels(TrainConfig& config, const fs::path& folder) {
  train_teacher(config, {.out = folder / "labeler"});
  config.label.weights = (folder / "labeler" / "model.safetensors").string();
  label_images(config);
}

// Every stage in turn, on eight scenes: name, function, configuration.
static std::tuple<std::string, Train, TrainConfig> each_stage(const fs::path& folder) {
  make_scenes(folder / "data", 8);
  TrainConfig config = scene_config(folder / "data");
  config.logging.every_steps = 1;
  config.data.validation.clear();
  const auto [name, train] = GENERATE(table<std::string, Train>(
      {{"teacher", train_teacher}, {"student", train_student}, {"metric", train_metric}}));
  if (name == "student") make_pseudo_labels(config, folder);
  return {name, train, config};
}

TEST_CASE("train: a run stopped after any step ends with the bits of one that was not") {
  const ScratchFolder scratch("resume");
  auto [name, train, config] = each_stage(scratch.path);
  CAPTURE(name);
  if (name == "metric") config.optimizer.accumulate = 2;
  if (name == "teacher") config.checkpoint.every_steps = 4;  // stops between checkpoints as well
  train(config, {.out = scratch.path / "whole"});
  for (const int64_t stop : {1, 3, 5}) {
    CAPTURE(stop);
    const fs::path run = scratch.path / ("stopped-" + std::to_string(stop));
    const TrainReport first = stopped_after(train, config, {.out = run}, stop);
    CHECK(first.stopped);
    CHECK(first.steps == stop);
    // Other workers and logs: they must not matter.
    TrainConfig later = config;
    later.data.workers = 3;
    later.logging.tensorboard = false;
    const TrainReport second = train(later, {.out = run, .resume = true});
    CHECK(!second.stopped);
    CHECK(weights_of(run) == weights_of(scratch.path / "whole"));
    CHECK(read_json_log(RunFolder{run}.log()).size() == 6);  // no step twice
  }
}

TEST_CASE("train: bf16 begins near f32, takes every step, and resumes with equal bits") {
  const ScratchFolder scratch("bf16");
  auto [name, train, config] = each_stage(scratch.path);
  CAPTURE(name);
  const auto losses = [&](const std::string& precision) {
    config.optimizer.precision = precision;
    const fs::path run = scratch.path / precision;
    CHECK(train(config, {.out = run}).counts.taken == 6);
    std::vector<double> all;
    for (const auto& line : read_json_log(RunFolder{run}.log()))
      for (const auto& [key, value] : line.values)
        if (key == "loss/total") all.push_back(value);
    return all;
  };
  const std::vector<double> f32 = losses("f32"), bf16 = losses("bf16");
  REQUIRE(f32.size() == 6);
  REQUIRE(bf16.size() == 6);
  // The first step has equal weights. SiLog is off by a few of the map's roundings of 2^-9; SSI
  // divides by the deviation of a new head's map, nearly constant, of which one is a larger share.
  CHECK(std::abs(bf16[0] - f32[0]) < (name == "metric" ? 0.01 : 0.2) * f32[0]);
  for (const double loss : bf16) CHECK(std::isfinite(loss));
  stopped_after(train, config, {.out = scratch.path / "stopped"}, 3);
  config.optimizer.precision = "auto";  // a run keeps what it began with
  train(config, {.out = scratch.path / "stopped", .resume = true});
  CHECK(weights_of(scratch.path / "stopped") == weights_of(scratch.path / "bf16"));
  CHECK(weights_of(scratch.path / "bf16") != weights_of(scratch.path / "f32"));
}

TEST_CASE("train: a run resumed behind its last step tells its evaluation again") {
  const ScratchFolder scratch("finished");
  make_scenes(scratch.path / "data", 4);
  const TrainConfig config = scene_config(scratch.path / "data");
  const TrainReport first = train_teacher(config, {.out = scratch.path / "run"});
  const TrainReport again = train_teacher(config, {.out = scratch.path / "run", .resume = true});
  REQUIRE(first.evaluation);
  REQUIRE(again.evaluation);
  CHECK(again.evaluation->values == first.evaluation->values);
}

TEST_CASE("train: a run killed before its first checkpoint starts again") {
  const ScratchFolder scratch("restart");
  make_scenes(scratch.path / "data", 4);
  TrainConfig config = scene_config(scratch.path / "data");
  train_teacher(config, {.out = scratch.path / "whole"});
  fs::create_directories(scratch.path / "run");
  std::ofstream(scratch.path / "run" / "log.jsonl") << "{\"step\":2,\"time_s\":1}\n";
  std::string notes;
  train_teacher(config, {.out = scratch.path / "run",
                         .resume = true,
                         .on_note = [&](const std::string& note) { notes += note; }});
  CHECK_THAT(notes, Contains("no checkpoint yet"));
  CHECK(weights_of(scratch.path / "run") == weights_of(scratch.path / "whole"));
}

TEST_CASE("train: a damaged checkpoint is named, and the one before it taken") {
  const ScratchFolder scratch("damaged");
  make_scenes(scratch.path / "data", 4);
  TrainConfig config = scene_config(scratch.path / "data");
  const fs::path run = scratch.path / "run";
  train_teacher(config, {.out = run});
  const std::string whole = weights_of(run);
  const fs::path newest = RunFolder{run}.checkpoints() / "step-000000006.safetensors";
  fs::resize_file(newest, fs::file_size(newest) - 1);
  std::string notes;
  train_teacher(config, {.out = run, .resume = true, .on_note = [&](const std::string& note) {
                           notes += note + "\n";
                         }});
  CHECK_THAT(notes, Contains("passed over") && Contains("step-000000006.safetensors"));
  CHECK_THAT(notes, Contains("step 4 of 6"));
  CHECK(weights_of(run) == whole);
}

TEST_CASE("train: another configuration, stage or run in the folder is refused") {
  const ScratchFolder scratch("refused");
  make_scenes(scratch.path / "data", 4);
  TrainConfig config = scene_config(scratch.path / "data");
  config.data.validation.clear();
  const fs::path run = scratch.path / "run";
  stopped_after(train_teacher, config, {.out = run}, 2);
  CHECK_THROWS_WITH(train_teacher(config, {.out = run}),
                    Contains("holds a run already") && Contains("--resume"));
  TrainConfig other = config;
  other.optimizer.lr = 2e-3;
  CHECK_THROWS_WITH(train_teacher(other, {.out = run, .resume = true}),
                    Contains("optimizer.lr: 0.001 -> 0.002"));
  CHECK_THROWS_WITH(train_metric(config, {.out = run, .resume = true}),
                    Contains("is of a teacher, not of a metric"));
}

TEST_CASE("train: what a stage lacks is said in one line") {
  const ScratchFolder scratch("lacks");
  make_scenes(scratch.path / "data", 4);
  const TrainConfig whole = scene_config(scratch.path / "data");
  const TrainOptions options{.out = scratch.path / "run"};
  TrainConfig config = whole;
  config.data.labeled.clear();
  CHECK_THROWS_WITH(train_teacher(config, options), Contains("data.labeled is empty"));
  config.data.labeled = {"none.jsonl"};
  CHECK_THROWS_WITH(train_teacher(config, options), Contains("none.jsonl"));
  config = whole;
  config.label.out.clear();
  CHECK_THROWS_WITH(train_student(config, options), Contains("label.out is empty"));
  config = whole;
  CHECK_THROWS_WITH(train_student(config, options), Contains("manifest.jsonl"));
  config.student.unlabeled_batch = 0;
  CHECK_THROWS_WITH(train_student(config, options), Contains("alignment needs unlabeled images"));
  config = whole;
  config.schedule.warmup_steps = 100;
  CHECK_THROWS_WITH(train_teacher(config, options), Contains("schedule.warmup_steps is 100"));
  config = whole;
  config.model.encoder = "none.pth";
  CHECK_THROWS_WITH(train_teacher(config, options), Contains("none.pth"));
}

TEST_CASE("train: four images are learnt by heart") {
  const ScratchFolder scratch("overfit");
  make_scenes(scratch.path / "data", 4);
  TrainConfig config = scene_config(scratch.path / "data");
  config.augment.flip = 0;
  config.teacher.steps = 500;
  config.optimizer.ema = 0;
  config.optimizer.lr = 2e-3;
  config.optimizer.weight_decay = 0;
  config.optimizer.clip_norm = 1;  // a step too far early on costs hundreds
  config.logging.every_steps = 50;
  config.checkpoint.every_steps = 1000;
  const TrainReport report = train_teacher(config, {.out = scratch.path / "run"});
  REQUIRE(report.evaluation);
  std::map<std::string, double> values(report.evaluation->values.begin(),
                                       report.evaluation->values.end());
  CAPTURE(values["eval/depth/delta1"], values["eval/disparity/delta1"], report.seconds);
  CHECK(values["eval/disparity/delta1"] > 0.98);
  CHECK(values["eval/depth/delta1"] > 0.98);
  CHECK(report.counts.taken == 500);
}

}  // namespace fathom
