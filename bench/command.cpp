#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>

#include "bench/compare.h"
#include "bench/html.h"
#include "bench/model_bench.h"
#include "bench/options.h"
#include "bench/plan.h"
#include "cli/command.h"
#include "cli/device_flags.h"
#include "core/cuda.h"
#include "core/file.h"
#include "core/parallel.h"
#ifdef FATHOM_CUDA
#include "bench/cuda/meter.h"
#endif

namespace fathom::cli {
namespace {

using namespace bench;

// Files that a report goes to. They are opened before anything is measured, so that one that
// cannot be written fails then.
class Outputs {
 public:
  void add_options(CLI::App& command) {
    command.add_option("--json", json_, "Write the report, in the schema of docs/bench.md");
    command.add_option("--google", google_, "Write it in the shape of Google Benchmark");
    command.add_option("--csv", csv_, "Write it as a table of comma-separated values");
  }
  void open() {
    const auto open = [&](const std::string& path, std::string (*format)(const Report&)) {
      if (!path.empty()) files_.push_back({std::make_unique<AtomicFile>(path), format});
    };
    open(json_, json_of);
    open(google_, google_json_of);
    open(csv_, csv_of);
  }
  void write(const Report& report) {
    for (auto& [file, format] : files_) {
      file->write(format(report));
      file->commit();
    }
  }

 private:
  std::string json_, google_, csv_;
  std::vector<std::pair<std::unique_ptr<AtomicFile>, std::string (*)(const Report&)>> files_;
};

// Options that every measuring command has.
struct Arguments {
  std::vector<std::string> models{"s", "b", "l"}, sizes;
  std::vector<std::string> dtypes{"f32", "bf16"};
  std::string filter, device = "cpu";
  std::vector<int64_t> batches;
  int64_t repeat = 21;
  double min_time_s = 0.03, time_budget_s = 0;
  int threads = 0;
  bool list = false, warm_only = false, unpinned = false;
  Outputs outputs;
};

Selection selection_of(const Arguments& arguments) {
  Selection selection;
  selection.models.clear(), selection.images.clear(), selection.dtypes.clear();
  for (const std::string& name : arguments.models) selection.models.push_back(model_named(name));
  for (const std::string& text : arguments.sizes) selection.images.push_back(image_named(text));
  for (const std::string& name : arguments.dtypes) selection.dtypes.push_back(dtype_named(name));
  selection.filter = arguments.filter;
  // A list may be of a device that is elsewhere.
  const bool elsewhere = arguments.list && arguments.device.starts_with("cuda");
  selection.device = elsewhere ? Device{Device::Type::cuda, 0} : use_device(arguments.device);
  selection.batches = arguments.batches;
  if (selection.batches.empty())
    selection.batches =
        selection.device == kCpu ? std::vector<int64_t>{1} : std::vector<int64_t>{1, 16};
  return selection;
}

Meter meter_of(Device device) {
  if (device == kCpu) return cpu_meter();
#ifdef FATHOM_CUDA
  return cuda_meter(device.index);
#else
  fail("--device ", device, ": this build has no CUDA kernels");
#endif
}

Report begin_report(const Arguments& arguments, const Meter& meter) {
  Report report;
  report.created = utc_now();
  report.machine = fingerprint();
  report.machine.pinned = !arguments.unpinned;
  report.clock = meter.clock;
#ifdef FATHOM_CUDA
  if (meter.device != kCpu) {
    report.machine.gpu = cuda_fingerprint(meter.device.index);
    report.machine.libraries.merge(cuda_libraries());
  }
#endif
  const Fingerprint& m = report.machine;
  if (m.gpu) std::cout << m.gpu->name << ", driver " << m.gpu->driver << "; ";
  std::cout << m.cpu << ", " << m.isa << ", " << m.threads << " of " << m.cores << " cores"
            << (m.pinned ? ", pinned" : "") << ", load " << m.load << ", fathom " << m.version
            << " (" << m.revision << ")\n";
  return report;
}

void print_ceilings(const Ceilings& c) {
  std::printf("measured in this run: %.1f GFLOP/s f32, %.1f GFLOP/s bf16, memory %.1f GB/s\n",
              c.f32_flops / 1e9, c.bf16_flops / 1e9, c.memory_bytes / 1e9);
}

// Prints what failed and returns the exit status.
int conclude(Report& report, const CeilingLog& ceilings, Arguments& arguments, size_t left) {
  report.ceilings = ceilings.medians();
  print_ceilings(report.ceilings);
  arguments.outputs.write(report);
  if (left > 0)
    std::cout << "the time budget left " << left << (left == 1 ? " row" : " rows")
              << " unmeasured\n";
  int64_t failed = 0;
  for (const Row& row : report.rows) failed += row.failed();
  if (failed == 0) return 0;
  std::cerr << "fathom: " << failed << " of " << report.rows.size() << " rows failed\n";
  return 1;
}

int kernels(Arguments& arguments) {
  const Selection selection = selection_of(arguments);
  if (arguments.list) {
    for (const std::string& name : list_kernels(selection)) std::cout << name << "\n";
    return 0;
  }
  arguments.outputs.open();
  set_thread_count(arguments.threads > 0 ? arguments.threads : thread_count(), !arguments.unpinned);
  const Meter meter = meter_of(selection.device);
  CeilingLog ceilings(meter);
  Report report = begin_report(arguments, meter);
  report.command = command_line();
  const Effort effort{.repeat = arguments.repeat,
                      .min_time_s = arguments.min_time_s,
                      .least = std::min<int64_t>(arguments.repeat, 4),
                      .cold = !arguments.warm_only};
  std::cout << table_header() << std::flush;
  const std::vector<std::string> left =
      run_kernels(meter, ceilings, selection, effort, arguments.time_budget_s, [&](const Row& row) {
        std::cout << table_line(row) << std::flush;
        report.rows.push_back(row);
      });
  return conclude(report, ceilings, arguments, left.size());
}

struct ModelArguments {
  Arguments common;
  bool training = false;
  std::string weights, photo;
};

std::vector<ModelBench> benches_of(const ModelArguments& arguments) {
  const Selection selection = selection_of(arguments.common);
  std::vector<ModelBench> benches;
  for (const ModelSize size : selection.models)
    for (const ImageSize image : selection.images)
      for (const int64_t batch : selection.batches)
        for (const DType dtype : selection.dtypes)
          benches.push_back({.size = size,
                             .image = image,
                             .batch = batch,
                             .dtype = dtype,
                             .training = arguments.training,
                             .weights = arguments.weights,
                             .photo = arguments.photo});
  return benches;
}

void print_model_figures(const Row& row) {
  if (row.failed()) return;
  const auto figure = [&](const char* name) {
    const auto found = row.more.find(name);
    return found == row.more.end() ? 0.0 : found->second;
  };
  std::printf("%-58s %.3f images/s, p99 %s", row.name.c_str(), figure("images_per_s"),
              time_text(figure("p99_s")).c_str());
  if (row.more.count("model_flop_utilisation"))
    std::printf(", model FLOP utilisation %.2f, share of the kernel-sum floor %.2f",
                figure("model_flop_utilisation"), row.warm.roofline_share());
  std::printf(", peak memory %.0f MiB (tensors %.0f MiB)\n",
              figure("peak_resident_bytes") / (1 << 20), double(row.allocated_bytes) / (1 << 20));
}

int model(ModelArguments& arguments) {
  Arguments& common = arguments.common;
  const std::vector<ModelBench> benches = benches_of(arguments);
  const Device device = selection_of(common).device;
  check(arguments.weights.empty() || common.models.size() == 1,
        "bench model: --weights is one model's; name it alone with --model");
  check(arguments.photo.empty() || !arguments.training,
        "bench model: --photo is for inference; a training step has random inputs");
  if (common.list) {
    for (const ModelBench& bench : benches)
      for (const std::string& name : model_row_names(bench, device)) std::cout << name << "\n";
    return 0;
  }
  common.outputs.open();
  set_thread_count(common.threads > 0 ? common.threads : thread_count(), !common.unpinned);
  const Meter meter = meter_of(device);
  CeilingLog ceilings(meter);
  Report report = begin_report(common, meter);
  report.command = command_line();
  report.clock = device == kCpu ? "wall time" : "events of the device, and wall time on the host";
  const Effort effort{.repeat = common.repeat,
                      .min_time_s = common.min_time_s,
                      .least = std::min<int64_t>(common.repeat, 5)};
  std::cout << table_header() << std::flush;
  const auto start = std::chrono::steady_clock::now();
  size_t left = 0;
  for (const ModelBench& bench : benches) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    if (common.time_budget_s > 0 && passed.count() > common.time_budget_s) {
      left += model_row_names(bench, device).size();
      continue;
    }
    const ModelRows rows = run_model(meter, ceilings, bench, effort);
    report.machine.model_hash = rows.weights_hash;
    for (const Row& row : rows.rows) {
      std::cout << table_line(row) << std::flush;
      report.rows.push_back(row);
    }
    for (const Row& row : rows.rows)
      if (row.more.count("peak_resident_bytes")) print_model_figures(row);
    std::fflush(stdout);
  }
  return conclude(report, ceilings, common, left);
}

struct CompareArguments {
  std::string before, after, threshold = "5%", by = "time";
  bool all = false;
};

// "5%" or "0.05".
double threshold_of(const std::string& text) {
  size_t used = 0;
  double value = -1;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
  }
  const std::string unit = text.substr(used);
  check(value >= 0 && (unit.empty() || unit == "%"), "--threshold ", text,
        ": expected a share such as 5% or 0.05");
  return unit == "%" ? value / 100 : value;
}

int compare_files(const CompareArguments& arguments) {
  const CompareOptions options{.threshold = threshold_of(arguments.threshold),
                               .by = arguments.by == "share" ? CompareBy::share : CompareBy::time};
  const Report before = read_report(arguments.before), after = read_report(arguments.after);
  std::cout << differences(before.machine, after.machine);
  int64_t regressions = 0, same = 0;
  std::cout << change_header();
  for (const Change& change : compare(before, after, options)) {
    regressions += is_regression(change);
    same += change.outcome == Outcome::same;
    if (arguments.all || change.outcome != Outcome::same) std::cout << change_line(change);
  }
  std::cout << same << " rows did not change by more than " << arguments.threshold << "\n";
  if (regressions == 0) return 0;
  std::cerr << "fathom: " << regressions << (regressions == 1 ? " row" : " rows")
            << " got slower or wrong\n";
  return 1;
}

struct HtmlArguments {
  std::vector<std::string> files;
  std::string out;
};

int html(const HtmlArguments& arguments) {
  AtomicFile file(arguments.out);
  file.write(page(read_page_content({arguments.files.begin(), arguments.files.end()})));
  file.commit();
  return 0;
}

void add_selection(CLI::App& command, Arguments& a) {
  command.add_option("--model", a.models, "Models: s, b, l")->delimiter(',')->capture_default_str();
  command.add_option("--dtype", a.dtypes, "f32, bf16")->delimiter(',')->capture_default_str();
  command.add_option("--device", a.device, "auto, cpu, cuda or cuda:N")
      ->check(device_problem)
      ->capture_default_str();
  command.add_option("--batch", a.batches, "Images at once; default: 1, and on a GPU 16 too")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  command.add_flag("--list", a.list, "Print the names of the rows instead");
  command.add_option("--repeat", a.repeat, "Samples of a row at most")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command
      .add_option("--min-time", a.min_time_s,
                  "Seconds of samples after which a row ends, given at least four of them (three "
                  "of calls above 0.1 s)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--time-budget", a.time_budget_s,
                  "Seconds after which no row is begun; what was measured is written. 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--threads", a.threads, "Threads; default: the CPUs of this process")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--no-pin", a.unpinned, "Let threads move between cores");
  a.outputs.add_options(command);
}

void add_kernels(CLI::App& command, Action& action) {
  const auto a = std::make_shared<Arguments>();
  command.add_option("--filter", a->filter, "Only rows whose name contains this pattern (regex)");
  command
      .add_option(
          "--size", a->sizes,
          "Network inputs, height x width; default: 518x518, and for s on the CPU 518x686 too")
      ->delimiter(',');
  command.add_flag("--warm-only", a->warm_only, "Do not measure with flushed caches");
  add_selection(command, *a);
  command.callback([a, &command, &action] {
    if (command.get_subcommands().empty()) action = [a] { return kernels(*a); };
  });
}

void add_model(CLI::App& bench, Action& action) {
  auto* command = bench.add_subcommand("model", "Measure whole models, window by window");
  const auto a = std::make_shared<ModelArguments>();
  a->common.models = {"s"}, a->common.sizes = {"518x518"}, a->common.dtypes = {"f32"};
  a->common.repeat = 11, a->common.min_time_s = 5;
  command->add_flag("--train", a->training, "A training step instead of inference");
  command->add_option("--weights", a->weights, "Checkpoint; default: a hash fills the weights");
  command->add_option("--photo", a->photo, "Photo to run; default: a drawn one");
  command->add_option("--size", a->common.sizes, "Network inputs, height x width")
      ->delimiter(',')
      ->capture_default_str();
  add_selection(*command, a->common);
  command->callback([a, &action] { action = [a] { return model(*a); }; });
}

void add_compare(CLI::App& bench, Action& action) {
  auto* command = bench.add_subcommand(
      "compare", "Compare two reports; status 1 if a row got slower than the threshold allows");
  const auto a = std::make_shared<CompareArguments>();
  command->add_option("before", a->before, "Report of --json")->required();
  command->add_option("after", a->after, "Report of --json")->required();
  command->add_option("--threshold", a->threshold, "Change of the median that matters")
      ->capture_default_str();
  command->add_option("--by", a->by, "time, or share of the roofline: less disturbed by clocks")
      ->check(CLI::IsMember({"time", "share"}))
      ->capture_default_str();
  command->add_flag("--all", a->all, "Also print the rows that did not change");
  command->callback([a, &action] { action = [a] { return compare_files(*a); }; });
}

void add_html(CLI::App& bench, Action& action) {
  auto* command = bench.add_subcommand("html", "Draw reports as one self-contained page");
  const auto a = std::make_shared<HtmlArguments>();
  command
      ->add_option("files", a->files,
                   "Reports of --json, and files of bench/compare; several reports give a history")
      ->required();
  command->add_option("--out", a->out, "The page")->required();
  command->callback([a, &action] { action = [a] { return html(*a); }; });
}

}  // namespace

void add_bench(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "bench", "Measure every op, or whole models; compare and draw the results");
  command->require_subcommand(0, 1);
  add_kernels(*command, action);
  add_model(*command, action);
  add_compare(*command, action);
  add_html(*command, action);
}

}  // namespace fathom::cli
