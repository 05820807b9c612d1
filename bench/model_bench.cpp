#include "bench/model_bench.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <sstream>

#include "bench/model_passes.h"
#include "bench/statistics.h"
#include "core/allocator.h"
#include "core/parallel.h"

namespace fathom::bench {
namespace {

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6) * 1024;
  return 0;
}

std::string model_letter(const Dinov2Config& encoder) {
  for (const ModelSize size : {ModelSize::S, ModelSize::B, ModelSize::L, ModelSize::g})
    if (depth_anything_config(2, size).encoder.channels == encoder.channels) return letter_of(size);
  return std::to_string(encoder.channels);
}

// The costs of a window of the network; empty for the others.
std::vector<OpCost> costs_of(const std::string& window, const DepthAnythingConfig& model,
                             const CostOptions& options) {
  using Group = OpCost::Group;
  std::vector<OpCost> chosen;
  const auto take = [&](const std::vector<OpCost>& ops, auto&& wanted) {
    for (const OpCost& op : ops)
      if (wanted(op.group)) chosen.push_back(op);
  };
  const auto decoder = [](Group g) {
    return g == Group::decoder_product || g == Group::decoder_resize;
  };
  const auto any = [](Group) { return true; };
  const bool network = window == "network" || window == "network_graph";
  const bool step = window == "step", gradients = step || window == "gradients_graph";
  if (model.encoder.swiglu) return {};
  if (window == "encoder" || network)
    take(forward_costs(model, options), [&](Group g) { return !decoder(g) && g != Group::input; });
  if (window == "decoder" || network) take(forward_costs(model, options), decoder);
  if (window == "forward" || gradients) take(forward_costs(model, options), any);
  if (window == "backward" || gradients) take(backward_costs(model, options), any);
  if (window == "backward" || gradients)  // whose traffic is mostly that of its gradient
    take(update_costs(model, options), [](Group g) { return g == Group::loss; });
  if (window == "optimizer" || step)
    take(update_costs(model, options), [](Group g) { return g == Group::optimizer; });
  return chosen;
}

std::string size_of_bench(const ModelBench& bench, const std::string& letter, ImageSize network) {
  return letter + "/" + std::to_string(network.height) + "x" + std::to_string(network.width) +
         "/b" + std::to_string(bench.batch);
}

// Rows for the windows that the first pass named, filled by the passes that follow.
class Recorder {
 public:
  Recorder(const ModelBench& bench, Device device, const DepthAnythingConfig& model,
           const std::string& size, ImageSize network)
      : bench_(bench), model_(model), size_(size) {
    std::ostringstream text;
    text << device;
    device_ = text.str();
    options_ = {.height = network.height,
                .width = network.width,
                .element_bytes = size_of(bench.dtype),
                .training = bench.training};
  }

  void add(const Windows& windows, const Roof& roof) {
    for (const auto& [window, seconds] : windows) {
      Row& row = row_of(window);
      row.warm.samples_s.push_back(seconds);
      const double floor = floor_s(costs_[window], bench_.batch, roof);
      row.warm.roofline.push_back(floor / seconds);
      if (floor > 0) used_[window].push_back(row.flops / seconds / roof.flops);
    }
  }

  /// What the whole pass took at most; the bench's own buffers not counted.
  void memory(int64_t tensor_bytes, int64_t resident_bytes, int64_t allocations) {
    for (Row& row : rows_) {
      if (row.pass != "total" && row.pass != "step" && row.pass != "network") continue;
      row.allocated_bytes = tensor_bytes, row.allocations = allocations;
      row.more["peak_resident_bytes"] = double(resident_bytes);
    }
  }

  /// The same of one window.
  void memory(const std::string& window, int64_t tensor_bytes) {
    row_of(window).allocated_bytes = tensor_bytes;
  }

  /// A window that there is no way to measure.
  void fail(const std::string& window, const std::string& why) { row_of(window).failure = why; }

  std::vector<Row> finish() {
    for (Row& row : rows_) {
      if (row.failed()) continue;
      row.more["images_per_s"] = double(bench_.batch) / row.warm.median_s();
      row.more["p99_s"] = row.warm.quantile_s(0.99);
      if (used_.count(row.pass)) row.more["model_flop_utilisation"] = median(used_[row.pass]);
    }
    return std::move(rows_);
  }

 private:
  Row& row_of(const std::string& window) {
    for (Row& row : rows_)
      if (row.pass == window) return row;
    Row row;
    row.op = bench_.training ? "train" : "model", row.pass = window, row.size = size_;
    row.dtype = bench_.dtype, row.threads = thread_count(), row.images = bench_.batch;
    row.device = device_;
    row.name = row_name(row.op, window, size_, bench_.dtype);
    const std::vector<OpCost>& ops = costs_[window] = costs_of(window, model_, options_);
    row.flops = total_flops(ops) * double(bench_.batch);
    row.bytes = total_bytes(ops, bench_.batch) * double(bench_.batch);
    if (!ops.empty()) row.bound = window == "optimizer" ? "memory" : "compute";
    rows_.push_back(row);
    return rows_.back();
  }

  const ModelBench& bench_;
  const DepthAnythingConfig model_;
  const std::string size_;
  std::string device_;
  CostOptions options_;
  std::vector<Row> rows_;
  std::map<std::string, std::vector<OpCost>> costs_;
  std::map<std::string, std::vector<double>> used_;
};

// Runs one pass after another until the effort is spent, with the ceilings of the moments before
// and after each.
int64_t repeat(const std::function<Windows()>& pass, Recorder& recorder, CeilingLog& ceilings,
               DType dtype, const Effort& effort) {
  double spent = 0;
  Roof roof = ceilings.now(dtype);
  int64_t passes = 0;
  for (; passes < effort.repeat && (spent < effort.min_time_s || passes < effort.least); ++passes) {
    const auto start = std::chrono::steady_clock::now();
    const Windows windows = pass();
    spent += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const Roof after = ceilings.now(dtype);
    recorder.add(windows, {std::max(roof.flops, after.flops), std::max(roof.bytes, after.bytes)});
    roof = after;
  }
  return passes;
}

// Held by the bench itself: tensors on the device and on the host.
struct Held {
  explicit Held(const Meter& meter)
      : device(meter.memory().current_bytes), host(allocator::statistics().current_bytes) {}
  int64_t device, host;
};

template <class Pass>
void measure_passes(Pass& pass, const Meter& meter, Recorder& recorder, CeilingLog& ceilings,
                    DType dtype, const Effort& effort, const Held& held) {
  pass.pass();  // warms up
  const MemoryStatistics before = meter.memory();
  meter.reset_peak();
  const int64_t passes = repeat([&] { return pass.pass(); }, recorder, ceilings, dtype, effort);
  const MemoryStatistics after = meter.memory();
  recorder.memory(after.peak_bytes - held.device, peak_resident_bytes() - held.host,
                  (after.allocations - before.allocations) / passes);
}

// The same work as a captured graph, replayed.
void measure_graph(const std::string& window, const Work& work, const Meter& meter,
                   Recorder& recorder, CeilingLog& ceilings, DType dtype, const Effort& effort,
                   const Held& held) {
  work.call();  // what an op makes once, such as a plan, is not captured
  meter.reset_peak();
  const Sampler sampler = meter.sampler(work, effort.sample_s, false);
  if (!sampler.sample) return recorder.fail(window, "an op waits for the device: no graph");
  recorder.memory(window, meter.memory().peak_bytes - held.device);
  const auto replay = [&] { return Windows{{window, sampler.sample() / double(sampler.calls)}}; };
  repeat(replay, recorder, ceilings, dtype, effort);
}

}  // namespace

std::vector<std::string> model_row_names(const ModelBench& bench, Device device) {
  using Names = std::vector<const char*>;
  Names windows = bench.training ? Names{"forward", "backward", "optimizer", "step"}
                                 : Names{"decode", "resize", "encoder", "decoder",
                                         "post",   "write",  "network", "total"};
  if (device != kCpu)
    windows = bench.training
                  ? Names{"forward", "backward", "optimizer", "step", "gradients_graph"}
                  : Names{"decode", "resize", "upload",  "encoder", "decoder",      "download",
                          "post",   "write",  "network", "total",   "network_graph"};
  std::vector<std::string> names;
  for (const char* window : windows)
    names.push_back(row_name(bench.training ? "train" : "model", window,
                             size_of_bench(bench, letter_of(bench.size), bench.image),
                             bench.dtype));
  return names;
}

static ModelRows run_training(const Meter& meter, CeilingLog& ceilings, const ModelBench& bench,
                              const Effort& effort) {
  const Held held(meter);
  MeasuredModel loaded = load(bench);
  const DepthAnythingConfig config = loaded.model.config;
  const std::string hash = loaded.hash, letter = model_letter(config.encoder);
  Training training(meter, bench, std::move(loaded));
  Recorder recorder(bench, meter.device, config, size_of_bench(bench, letter, bench.image),
                    bench.image);
  measure_passes(training, meter, recorder, ceilings, bench.dtype, effort, held);
  if (meter.sampler)
    measure_graph("gradients_graph", training.gradients_work(), meter, recorder, ceilings,
                  bench.dtype, effort, held);
  return {recorder.finish(), hash};
}

static ModelRows run_checked(const Meter& meter, CeilingLog& ceilings, const ModelBench& bench,
                             const Effort& effort) {
  if (bench.training) return run_training(meter, ceilings, bench, effort);
  const Held held(meter);
  MeasuredModel loaded = load(bench);
  const DepthAnythingConfig config = loaded.model.config;
  const std::string hash = loaded.hash, letter = model_letter(config.encoder);
  Inference inference(meter, bench, std::move(loaded));
  const ImageSize network = inference.network();
  Recorder recorder(bench, meter.device, config, size_of_bench(bench, letter, network), network);
  measure_passes(inference, meter, recorder, ceilings, bench.dtype, effort, held);
  if (meter.sampler)
    measure_graph("network_graph", inference.network_work(), meter, recorder, ceilings, bench.dtype,
                  effort, held);
  ModelRows measured{recorder.finish(), hash};
  Row checked;
  inference.compare_with(load(bench), checked);
  for (Row& row : measured.rows) {
    if (row.failed() || (row.bound.empty() && row.pass != "total")) continue;
    row.error = checked.error, row.error_bound = checked.error_bound;
    row.failure = checked.failure;
    if (row.failed()) row.warm = {};
  }
  return measured;
}

ModelRows run_model(const Meter& meter, CeilingLog& ceilings, const ModelBench& bench,
                    const Effort& effort) {
  try {
    return run_checked(meter, ceilings, bench, effort);
  } catch (const Error& error) {
    if (meter.device == kCpu) throw;
    // On a GPU, for lack of memory say, it is a failed row: the others still count.
    Recorder failed(bench, meter.device, depth_anything_config(2, bench.size),
                    size_of_bench(bench, letter_of(bench.size), bench.image), bench.image);
    failed.fail(bench.training ? "step" : "total", error.what());
    return {failed.finish(), ""};
  }
}

}  // namespace fathom::bench
