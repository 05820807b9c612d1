
#include <cstdio>

#include "cli/command.h"
#include "cli/device_flags.h"
#include "cli/signals.h"
#include "cli/status_line.h"
#include "core/parallel.h"
#include "train/stages/label.h"

namespace fathom::cli {
namespace {

struct Arguments {
  std::string config, device;
  std::vector<std::string> overrides;
  bool quiet = false;
  int threads = 0;
};

std::string text_of(const LabelProgress& p) {
  char text[160];
  const double rate = p.seconds > 0 ? double(p.written) / p.seconds : 0;
  std::snprintf(text, sizeof text, "%lld/%lld images, %lld kept, %.1f images/s",
                static_cast<long long>(p.written + p.kept + p.failed),
                static_cast<long long>(p.images), static_cast<long long>(p.kept), rate);
  return text;
}

int label(const Arguments& arguments) {
  TrainConfig config = read_config(arguments.config, arguments.overrides);
  if (!arguments.device.empty()) config.device = arguments.device;
  use_device(config.device);
  if (arguments.threads > 0) set_thread_count(arguments.threads);
  StatusLine line(arguments.quiet);
  const LabelReport report = label_images(
      config, {.stop = &stop_on_signal(),
               .on_progress = [&](const LabelProgress& p) { line.update(text_of(p)); }});
  line.update(text_of(report), true);
  line.finish();
  for (const std::string& failure : report.failures) line.note(failure);
  if (report.stopped) {
    line.note("stopped; the same command goes on where this one ended");
    return signal_status();
  }
  if (!arguments.quiet)
    std::printf("%lld labels, %lld of them kept, %lld images unreadable; %s\n",
                static_cast<long long>(report.written + report.kept),
                static_cast<long long>(report.kept), static_cast<long long>(report.failed),
                report.manifest.c_str());
  return 0;
}

}  // namespace

void add_label(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "label", "Label images with a trained model, for the student to learn from");
  const auto a = std::make_shared<Arguments>();
  command->add_option("config", a->config, "Configuration, JSON with comments")->required();
  command
      ->add_option("--set", a->overrides, "Override a key: --set label.flip=true (may be repeated)")
      ->allow_extra_args(false);
  add_device_flag(*command, a->device, "what the configuration says");
  command->add_option("--threads", a->threads, "CPU threads (default: FATHOM_THREADS or all)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--quiet", a->quiet, "No progress, only what failed");
  command->callback([a, &action] { action = [a] { return label(*a); }; });
}

}  // namespace fathom::cli
