#include <algorithm>
#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>

#include "bench/compare.h"
#include "bench/html.h"
#include "bench/model_bench.h"
#include "bench/plan.h"
#include "cli/command.h"
#include "core/file.h"
#include "core/parallel.h"

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

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts;
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// What was typed, for the report.
std::string command_line() {
  std::ifstream file("/proc/self/cmdline");  // a file without a size, so it cannot be mapped
  std::string text{std::istreambuf_iterator<char>(file), {}};
  std::replace(text.begin(), text.end(), '\0', ' ');
  while (text.ends_with(' ')) text.pop_back();
  return "fathom" + text.substr(std::min(text.find(' '), text.size()));
}

ModelSize model_named(const std::string& name) {
  for (const ModelSize size : {ModelSize::S, ModelSize::B, ModelSize::L, ModelSize::g})
    if (name == letter_of(size) || name == std::string(1, char(std::tolower(letter_of(size)[0]))))
      return size;
  fail("--model ", name, ": expected s, b, l or g");
}

// "518x686": height and width in pixels.
ImageSize image_named(const std::string& text) {
  const size_t cross = text.find('x');
  const std::string height = text.substr(0, cross);
  const std::string width = cross == std::string::npos ? "" : text.substr(cross + 1);
  const auto number = [&](const std::string& digits) -> int64_t {
    const bool good = !digits.empty() && digits.size() < 6 &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
    return good ? std::stol(digits) : 0;
  };
  const ImageSize size{number(height), number(width)};
  check(size.height >= 14 && size.width >= 14 && size.height % 14 == 0 && size.width % 14 == 0,
        "--size ", text, ": expected height x width in pixels, multiples of 14, such as 518x686");
  return size;
}

DType dtype_of_option(const std::string& name) {
  for (const DType dtype : {DType::f32, DType::bf16})
    if (name_of(dtype) == name) return dtype;
  fail("--dtype ", name, ": expected f32 or bf16");
}

// Options that every measuring command has.
struct Arguments {
  std::vector<std::string> models{"s", "b", "l"}, sizes;
  std::vector<std::string> dtypes{"f32", "bf16"};
  std::string filter;
  int64_t batch = 1, repeat = 21;
  double min_time_s = 0.03;
  int threads = 0;
  bool list = false, warm_only = false, unpinned = false;
  Outputs outputs;
};

Selection selection_of(const Arguments& arguments) {
  Selection selection;
  selection.models.clear(), selection.images.clear(), selection.dtypes.clear();
  for (const std::string& name : arguments.models) selection.models.push_back(model_named(name));
  for (const std::string& text : arguments.sizes) selection.images.push_back(image_named(text));
  for (const std::string& name : arguments.dtypes)
    selection.dtypes.push_back(dtype_of_option(name));
  selection.batch = arguments.batch;
  selection.filter = arguments.filter;
  return selection;
}

Report begin_report(const Arguments& arguments, const Meter& meter) {
  Report report;
  report.created = utc_now();
  report.machine = fingerprint();
  report.machine.pinned = !arguments.unpinned;
  report.clock = meter.clock;
  const Fingerprint& m = report.machine;
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
int conclude(Report& report, const CeilingLog& ceilings, Arguments& arguments) {
  report.ceilings = ceilings.medians();
  print_ceilings(report.ceilings);
  arguments.outputs.write(report);
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
  const Meter meter = cpu_meter();
  CeilingLog ceilings(meter);
  Report report = begin_report(arguments, meter);
  report.command = command_line();
  const Effort effort{.repeat = arguments.repeat,
                      .min_time_s = arguments.min_time_s,
                      .least = std::min<int64_t>(arguments.repeat, 4),
                      .cold = !arguments.warm_only};
  std::cout << table_header() << std::flush;
  run_kernels(meter, ceilings, selection, effort, [&](const Row& row) {
    std::cout << table_line(row) << std::flush;
    report.rows.push_back(row);
  });
  return conclude(report, ceilings, arguments);
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
      for (const DType dtype : selection.dtypes)
        benches.push_back({.size = size,
                           .image = image,
                           .batch = selection.batch,
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
  check(arguments.weights.empty() || common.models.size() == 1,
        "bench model: --weights is one model's; name it alone with --model");
  check(arguments.photo.empty() || !arguments.training,
        "bench model: --photo is for inference; a training step has random inputs");
  if (common.list) {
    for (const ModelBench& bench : benches)
      for (const std::string& name : model_row_names(bench)) std::cout << name << "\n";
    return 0;
  }
  common.outputs.open();
  set_thread_count(common.threads > 0 ? common.threads : thread_count(), !common.unpinned);
  const Meter meter = cpu_meter();
  CeilingLog ceilings(meter);
  Report report = begin_report(common, meter);
  report.command = command_line();
  report.clock = "wall time";
  const Effort effort{.repeat = common.repeat,
                      .min_time_s = common.min_time_s,
                      .least = std::min<int64_t>(common.repeat, 5)};
  std::cout << table_header() << std::flush;
  for (const ModelBench& bench : benches) {
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
  return conclude(report, ceilings, common);
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
  command.add_option("--batch", a.batch, "Images at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
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
  command.add_option("--threads", a.threads, "Threads; default: the CPUs of this process")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--no-pin", a.unpinned, "Let threads move between cores");
  a.outputs.add_options(command);
}

void add_kernels(CLI::App& command, Action& action) {
  const auto a = std::make_shared<Arguments>();
  command.add_option("--filter", a->filter, "Only rows whose name contains this pattern (regex)");
  command
      .add_option("--size", a->sizes,
                  "Network inputs, height x width; default: 518x518, and for s 518x686 too")
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
