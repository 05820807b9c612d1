#include <cstdio>
#include <iostream>

#include "cli/command.h"
#include "cli/device_flags.h"
#include "cli/signals.h"
#include "cli/status_line.h"
#include "core/parallel.h"
#include "train/stages/metric.h"
#include "train/stages/plan.h"
#include "train/stages/student.h"
#include "train/stages/teacher.h"

namespace fathom::cli {
namespace {

struct Arguments {
  std::string config, out, device;
  std::vector<std::string> overrides;
  bool resume = false, dry_run = false, quiet = false;
  int threads = 0;
};

TrainReport run_stage(StageName stage, const TrainConfig& config, const TrainOptions& options) {
  switch (stage) {
    case StageName::teacher: return train_teacher(config, options);
    case StageName::student: return train_student(config, options);
    case StageName::metric: return train_metric(config, options);
  }
  fail("train: unknown stage ", int(stage));
}

void print_result(const TrainReport& report, const std::string& out) {
  std::printf("%lld steps, %lld images in %s, %.1f images/s, %.2f GiB of tensors at the peak\n",
              static_cast<long long>(report.steps), static_cast<long long>(report.images),
              clock_text(report.seconds).c_str(),
              double(report.images) / std::max(1e-9, report.seconds),
              double(report.peak_bytes) / double(1 << 30));
  if (report.evaluation)
    for (const auto& [name, value] : report.evaluation->values)
      std::printf("%-26s %.4g\n", name.c_str(), value);
  std::printf("weights in %s/model.safetensors\n", out.c_str());
}

int train(StageName stage, const Arguments& arguments) {
  TrainConfig config = read_config(arguments.config, arguments.overrides);
  if (!arguments.device.empty()) config.device = arguments.device;
  use_device(config.device);
  if (arguments.threads > 0) set_thread_count(arguments.threads);
  if (arguments.dry_run) {
    std::cout << describe_plan(config, stage);
    return 0;
  }
  check(!arguments.out.empty(), "--out is required; name a folder for the run");
  StatusLine line(arguments.quiet);
  TrainOptions options{.out = arguments.out,
                       .resume = arguments.resume,
                       .stop = &stop_on_signal(),
                       .on_progress = {},
                       .on_note = [&](const std::string& text) { line.note(text); }};
  options.on_progress = [&](const TrainProgress& progress) {
    line.update(progress_text(progress), progress.step == progress.steps);
  };
  const TrainReport report = run_stage(stage, config, options);
  line.finish();
  if (report.stopped)
    line.note("stopped after step " + std::to_string(report.steps) +
              ", checkpoint written; go on with --resume");
  else if (!arguments.quiet)
    print_result(report, arguments.out);
  return 0;
}

}  // namespace

void add_train(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("train", "Train a model: teacher, student or metric");
  command->require_subcommand(1);
  const std::tuple<StageName, const char*> stages[] = {
      {StageName::teacher, "On labeled images, relative depth"},
      {StageName::student, "On labeled images and a teacher's labels, perturbed, features aligned"},
      {StageName::metric, "On labeled images, depth in metres"}};
  for (const auto& [stage, what] : stages) {
    auto* sub = command->add_subcommand(name_of(stage), what);
    const auto a = std::make_shared<Arguments>();
    sub->add_option("config", a->config, "Configuration, JSON with comments")->required();
    sub->add_option("--set", a->overrides,
                    "Override a key: --set optimizer.lr=1e-4 (may be repeated)")
        ->allow_extra_args(false);
    sub->add_option("--out", a->out, "Folder of the run: checkpoints, logs, final weights");
    add_device_flag(*sub, a->device, "what the configuration says");
    sub->add_flag("--resume", a->resume,
                  "Go on from the newest valid checkpoint in --out, bit for bit on one device");
    sub->add_flag("--dry-run", a->dry_run, "Print data, memory, steps and time, and do nothing");
    sub->add_option("--threads", a->threads, "CPU threads (default: FATHOM_THREADS or all)")
        ->check(CLI::Range(1, 1024));
    sub->add_flag("--quiet", a->quiet, "No progress, only what matters");
    sub->callback(
        [a, &action, stage = stage] { action = [a, stage] { return train(stage, *a); }; });
  }
}

}  // namespace fathom::cli
