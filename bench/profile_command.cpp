#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>

#include "bench/launches.h"
#include "bench/options.h"
#include "bench/profile.h"
#include "bench/profile_trace.h"
#include "cli/command.h"
#include "cli/device_flags.h"
#include "core/file.h"
#include "core/parallel.h"

namespace fathom::cli {
namespace {

using namespace bench;

struct Arguments {
  std::string model = "s", size = "518x518", dtype = "f32", device = "cpu", weights, trace, json;
  std::string kernel, shape = "S/518x518/b1";
  int64_t batch = 1, steps = 10, launches = 10;
  int threads = 0;
  bool training = false, every_layer = false, unpinned = false;
};

// Opened before anything is measured, so that a file that cannot be written fails then.
std::unique_ptr<AtomicFile> opened(const std::string& path) {
  return path.empty() ? nullptr : std::make_unique<AtomicFile>(path);
}

void write(const std::unique_ptr<AtomicFile>& file, const auto& make_text) {
  if (!file) return;
  file->write(make_text());
  file->commit();
}

int launch_kernel(const Arguments& a) {
  const Launches done = launch({.kernel = a.kernel,
                                .shape = a.shape,
                                .dtype = dtype_named(a.dtype),
                                .device = use_device(a.device),
                                .launches = a.launches});
  std::cout << done.name << ": " << done.seconds.size() << " launches on " << a.device
            << ", median " << time_text(done.median_s()) << ", of one call by the host's clock\n";
  return 0;
}

int profile(const Arguments& a) {
  const auto trace = opened(a.trace), json = opened(a.json);
  set_thread_count(a.threads > 0 ? a.threads : thread_count(), !a.unpinned);
  if (!a.kernel.empty()) return launch_kernel(a);
  const Profile result = run_profile({.size = model_named(a.model),
                                      .image = image_named(a.size),
                                      .batch = a.batch,
                                      .dtype = dtype_named(a.dtype),
                                      .device = use_device(a.device),
                                      .training = a.training,
                                      .weights = a.weights,
                                      .steps = a.steps});
  std::cout << text_of(result, a.every_layer);
  write(trace, [&] { return trace_of(result.recording); });
  write(json, [&] {
    Report head;
    head.created = utc_now();
    head.command = command_line();
    head.machine = fingerprint();
    head.machine.pinned = !a.unpinned;
    head.machine.model_hash = result.weights_hash;
    head.ceilings = result.ceilings;
    return json_of(result, head);
  });
  return 0;
}

}  // namespace

void add_profile(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "profile", "Show where the time of inference or a training step goes, by op and by layer");
  const auto a = std::make_shared<Arguments>();
  command->add_flag("--train", a->training, "A training step instead of inference");
  command->add_option("--model", a->model, "Model: s, b, l or g")->capture_default_str();
  command->add_option("--size", a->size, "Network input, height x width")->capture_default_str();
  command->add_option("--batch", a->batch, "Images at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--dtype", a->dtype, "f32, bf16 or, for inference, f16")
      ->capture_default_str();
  add_device_flag(*command, a->device, "cpu");
  command->add_option("--weights", a->weights, "Checkpoint; default: a hash fills the weights");
  command->add_option("--steps", a->steps, "Steps to record; as many run unrecorded in between")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--threads", a->threads, "Threads; default: the CPUs of this process")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--no-pin", a->unpinned, "Let threads move between cores");
  command->add_flag("--every-layer", a->every_layer, "A line for each block, in the order of work");
  auto* trace =
      command->add_option("--trace", a->trace, "Write a timeline for ui.perfetto.dev (JSON)");
  auto* json = command->add_option("--json", a->json, "Write the tables, as docs/profile.md says");
  auto* kernel = command->add_option(
      "--kernel", a->kernel,
      "Launch one op alone, for Nsight Compute: a name of fathom bench --list such as "
      "attention/backward");
  command
      ->add_option("--shape", a->shape, "Its shape: what follows in that name, without the dtype")
      ->needs(kernel)
      ->capture_default_str();
  command->add_option("--launches", a->launches, "How many times")
      ->needs(kernel)
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  kernel->excludes(trace)->excludes(json);
  command->callback([a, &action] { action = [a] { return profile(*a); }; });
}

}  // namespace fathom::cli
