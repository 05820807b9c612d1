#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/device_flags.h"
#include "cli/model_flags.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "core/allocator.h"
#include "core/cuda.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/png.h"
#include "core/version.h"
#include "train/infer/run.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string weights, device = "auto", dtype = "auto", out = ".", colormap,
                       resize_rule = "reference";
  std::vector<std::string> formats{"png16", "color"}, inputs;
  int size = 518, threads = 0;
  int64_t batch = 1, max_pixels = 0;
  double memory_limit_gib = 0;
  bool json = false, quiet = false;
  ModelArguments model;
};

ColorMap choose_colors(const std::string& name) {
  if (name == "inferno") return ColorMap::inferno;
  if (name == "spectral_r") return ColorMap::spectral_r;
  if (name == "spectral") return ColorMap::spectral;
  fail("--colormap ", name, ": expected inferno, spectral_r or spectral");
}

// A fifth of what is available stays for everybody else unless --memory-limit says otherwise.
int64_t memory_limit(const Arguments& arguments, Device device) {
  if (arguments.memory_limit_gib > 0) return int64_t(arguments.memory_limit_gib * double(1 << 30));
  return (device == kCpu ? available_memory_bytes() : cuda_free_bytes(device.index)) * 8 / 10;
}

std::string text_of(auto device_or_dtype) {
  std::ostringstream text;
  text << device_or_dtype;
  return text.str();
}

// Fails before any work when results could not be written.
void probe_output(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, "--out ", folder.string(), ": cannot create the folder: ", error.message());
  const AtomicFile probe(folder / ".fathom-probe");  // never committed, so it leaves nothing
}

Json summary_of(const Arguments& arguments, const LoadedModel& loaded, const InferRun& run,
                const InferPlan& plan, const InferReport& report, double load_ms) {
  Json failures = Json::array();
  for (const InferFailure& failure : report.failures)
    failures.push_back({{"photo", failure.photo}, {"reason", failure.reason}});
  const InferTimings& t = report.timings;
  return {{"fathom", version() + " (" + revision() + ")"},
          {"model", loaded.title},
          {"weights", {{"file", arguments.weights}, {"xxh3_128", loaded.weights_hash}}},
          {"device", text_of(run.device)},
          {"threads", thread_count()},
          {"dtype", run.source.dtype},
          {"photos", report.photos},
          {"written", report.written},
          {"failed", report.failures.size()},
          {"stopped", report.stopped},
          {"failures", failures},
          {"images_per_second", t.total_ms > 0 ? double(report.written) * 1e3 / t.total_ms : 0},
          {"timings_ms",
           {{"load", load_ms},
            {"decode", t.decode_ms},
            {"resize", t.resize_ms},
            {"encoder", t.encoder_ms},
            {"decoder", t.decoder_ms},
            {"post", t.post_ms},
            {"write", t.write_ms},
            {"total", t.total_ms}}},
          {"memory_bytes",
           {{"estimate", plan.peak_bytes},
            {"peak", run.device == kCpu ? allocator::statistics().peak_bytes
                                        : cuda_memory_statistics(run.device.index).peak_bytes}}}};
}

int infer(const Arguments& arguments) {
  // Everything that can be refused without work is refused first.
  InferRun run;
  run.device = use_device(arguments.device);
  const DType dtype = inference_dtype(arguments.dtype, run.device);
  for (const std::string& format : arguments.formats)
    run.output.formats.push_back(output_format(format));
  for (const OutputFormat format : run.output.formats)
    check(
        can_write_png() || format == OutputFormat::npy || format == OutputFormat::pfm,
        "this build has no libpng; add --format npy or pfm, or install libpng-dev and build again");
  if (!arguments.colormap.empty()) run.output.colors = choose_colors(arguments.colormap);
  const bool hf = arguments.resize_rule == "hf";
  if (arguments.threads > 0) set_thread_count(arguments.threads);
  run.output.folder = arguments.out;
  probe_output(run.output.folder);
  const std::vector<InferInput> inputs = collect_inputs(arguments.inputs, std::cin);

  const std::atomic<bool>& stop = stop_on_signal();
  const auto start = std::chrono::steady_clock::now();
  LoadedModel loaded = load_model(arguments.weights, arguments.model.flags());
  prepare_for_inference(loaded.model, dtype, run.device);
  const std::chrono::duration<double, std::milli> load_ms =
      std::chrono::steady_clock::now() - start;

  const DepthAnythingConfig& config = loaded.model.config;
  const InferPlan plan =
      plan_inference(inputs, config, dtype, arguments.batch,
                     {.size = arguments.size,
                      .rule = hf ? SizeRule::nearest_to_1 : SizeRule::lower_bound,
                      .max_pixels = arguments.max_pixels,
                      .memory_limit_bytes = memory_limit(arguments, run.device),
                      .device = run.device});
  run.model = &loaded.model;
  run.dtype = dtype;
  run.map_resize = hf ? MapResize::bicubic : map_resize_of(loaded.version);
  run.source = {loaded.title,      loaded.version,      config.kind,    config.max_depth_m,
                arguments.weights, loaded.weights_hash, text_of(dtype), text_of(run.device)};
  run.stop = &stop;
  Progress progress(arguments.quiet);
  run.on_progress = [&](const InferReport& report) { progress.update(report); };
  const InferReport report = run_inference(run, plan);
  progress.finish();

  if (arguments.json)
    std::cout << summary_of(arguments, loaded, run, plan, report, load_ms.count())
                     .dump(2, ' ', false, Json::error_handler_t::replace)
              << "\n";
  if (report.stopped) {
    std::cerr << "fathom: stopped by a signal after " << report.written << " of " << report.photos
              << " photos\n";
    return signal_status();
  }
  if (!report.failures.empty()) {
    std::cerr << "fathom: " << report.failures.size() << " of " << report.photos
              << " photos failed\n";
    return 1;
  }
  return 0;
}

}  // namespace

void add_infer(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("infer", "Compute depth maps of photos");
  const auto a = std::make_shared<Arguments>();
  command
      ->add_option("inputs", a->inputs,
                   "Photos, folders, patterns, or '-' for a list of paths on stdin")
      ->required();
  command
      ->add_option("--weights", a->weights,
                   "Checkpoint: .pth, .safetensors, a sharded index, or a folder with one")
      ->required();
  command->add_option("--out", a->out, "Folder for the results")->capture_default_str();
  command
      ->add_option("--format", a->formats,
                   "Results to write, separated by commas: png16, npy, pfm, color, side")
      ->delimiter(',')
      ->allow_extra_args(false)  // what follows is a photo
      ->check(CLI::IsMember({"png16", "npy", "pfm", "color", "side"}))
      ->capture_default_str();
  add_device_flag(*command, a->device, "auto");
  add_dtype_flag(*command, a->dtype);
  command->add_option("--size", a->size, "Target of the network input's shorter side, in pixels")
      ->check(CLI::Range(14, 1 << 20))  // one patch at least
      ->capture_default_str();
  command
      ->add_option("--resize-rule", a->resize_rule,
                   "reference: shorter side reaches --size, cubic as OpenCV; hf: the size rule "
                   "and bicubic result of Hugging Face's processor")
      ->check(CLI::IsMember({"reference", "hf"}))
      ->capture_default_str();
  command->add_option("--batch", a->batch, "Photos of one network size computed together")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      ->add_option("--max-pixels", a->max_pixels,
                   "Scale network inputs above this many pixels down to it (0: never)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option(
          "--memory-limit", a->memory_limit_gib,
          "GiB that the network may use on its device; larger photos are refused (default: "
          "80% of what is available)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--colormap", a->colormap,
                   "inferno, spectral_r or spectral (default: the reference's for the model)")
      ->check(CLI::IsMember({"inferno", "spectral_r", "spectral"}));
  command->add_option("--threads", a->threads, "CPU threads (default: FATHOM_THREADS or all)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", a->json, "Print a JSON summary with timings to stdout");
  command->add_flag("--quiet", a->quiet, "No progress, only what failed");
  add_model_flags(*command, a->model);
  command->callback([a, &action] { action = [a] { return infer(*a); }; });
}

}  // namespace fathom::cli
