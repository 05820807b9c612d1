// The engine as a long-lived process on one device, poked by bench/compare/gpu_baselines.py, whose
// docstring defines the protocol: one JSON object a line on stdin and on stdout.

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/harness.h"
#include "bench/model_costs.h"
#include "bench/plan.h"
#include "bench/worker/contender.h"
#include "core/parallel.h"
#include "core/version.h"
#include "models/save.h"
#include "tests/models/hash_fill.h"
#ifdef FATHOM_CUDA
#include "bench/cuda/meter.h"
#include "core/cuda/memory.h"
#endif

namespace fathom::bench {
namespace {

using Json = nlohmann::json;

Meter meter_of(const std::string& device) {
  if (device == "cpu") return cpu_meter();
#ifdef FATHOM_CUDA
  return cuda_meter(0);
#else
  fail("--device ", device, ": this build has no CUDA kernels");
#endif
}

ModelSize size_named(const std::string& letter) {
  for (const ModelSize size : {ModelSize::S, ModelSize::B, ModelSize::L})
    if (letter_of(size) == letter) return size;
  fail("model ", letter, ": expected S, B or L");
}

void write_weights(const Json& request) {
  DepthAnything model(depth_anything_config(2, size_named(request.at("model").get<std::string>())));
  fill_with_hash(model, 4);  // which keeps the last ReLU open
  save_model(request.at("path").get<std::string>(), model, 2);
}

// Seconds in which every op of a model, one after another, is at its own roofline.
double floor_of(const Json& request) {
  const std::string letter = request.at("model").get<std::string>(),
                    part = request.at("part").get<std::string>();
  const DepthAnythingConfig model = depth_anything_config(2, size_named(letter));
  const CostOptions options{.height = request.at("size").at(0).get<int64_t>(),
                            .width = request.at("size").at(1).get<int64_t>(),
                            .element_bytes = request.at("element_bytes").get<int64_t>(),
                            .training = part != "inference"};
  std::vector<OpCost> ops = forward_costs(model, options);
  const auto add = [&](const std::vector<OpCost>& more) {
    ops.insert(ops.end(), more.begin(), more.end());
  };
  if (part != "inference") add(backward_costs(model, options));
  if (part == "train") add(update_costs(model, options));
  if (part == "decoder")
    std::erase_if(ops, [](const OpCost& op) {
      return op.group != OpCost::Group::decoder_product &&
             op.group != OpCost::Group::decoder_resize;
    });
  return floor_s(ops, request.at("batch").get<int64_t>(),
                 {.flops = request.at("flops_per_s").get<double>(),
                  .bytes = request.at("bytes_per_s").get<double>()});
}

class Worker {
 public:
  explicit Worker(Meter meter) : meter_(std::move(meter)) {}

  Json answer(const Json& request) {
    const std::string what = request.at("do").get<std::string>();
    if (what == "weights") {
      write_weights(request);
      return {{"ok", true}};
    }
    if (what == "floor") return {{"seconds", floor_of(request)}};
    if (what == "close") {
      close();
      return {{"ok", true}};
    }
    if (what == "open") return open(request);
    check(bool(sampler_.sample), "nothing is open");
    if (what == "sample") return {{"seconds", sampler_.sample() / double(sampler_.calls)}};
    if (what == "memory") return {{"peak_bytes", peak_bytes_}};
    if (what == "result") return write_result(request.at("path").get<std::string>());
    fail("request ", what, ": unknown");
  }

 private:
  // The other process needs the device's memory too.
  void close() {
    sampler_ = {}, contender_ = {};
#ifdef FATHOM_CUDA
    if (meter_.device != kCpu) cuda::release_cached_memory(meter_.device.index);
#endif
  }

  Json open(const Json& request) {
    close();
    const int64_t before = meter_.memory().current_bytes;
    meter_.reset_peak();
    contender_ = contender_of(request, meter_);
    const Work& work = contender_.work;
    if (work.prepare) work.prepare();
    const double once_s = meter_.seconds({work.call}, 1);
    peak_bytes_ = meter_.memory().peak_bytes - before;
    bool replayed = false;
    const Effort effort{.sample_s = request.value("sample_s", 1e-3)};
    sampler_ = sampler_of(meter_, work, once_s, false, effort, replayed);
    return {{"ok", true}, {"graph", replayed}, {"calls", sampler_.calls}};
  }

  Json write_result(const std::string& path) const {
    const Tensor& result = contender_.result;
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(result.data<float>()),
               std::streamsize(result.bytes()));
    check(bool(file.flush()), path, ": cannot be written");
    return {{"count", result.numel()}};
  }

  Meter meter_;
  Contender contender_;
  Sampler sampler_;
  int64_t peak_bytes_ = 0;
};

int serve(Worker& worker) {
  std::cout << Json{{"ready", version() + " (" + revision() + ")"}} << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << worker.answer(Json::parse(line)) << std::endl;
    } catch (const std::exception& error) {
      std::cout << Json{{"error", error.what()}}.dump(-1, ' ', false,
                                                      Json::error_handler_t::replace)
                << std::endl;
    }
  }
  return 0;
}

}  // namespace
}  // namespace fathom::bench

int main(int argc, char** argv) {
  CLI::App program("Worker for bench/compare/gpu_baselines.py", "fathom_bench_device");
  std::string device = "cuda";
  program.add_option("--device", device)->check(CLI::IsMember({"cpu", "cuda"}));
  CLI11_PARSE(program, argc, argv);
  try {
    fathom::bench::Worker worker(fathom::bench::meter_of(device));
    return fathom::bench::serve(worker);
  } catch (const std::exception& error) {
    std::cerr << "fathom_bench_device: " << error.what() << "\n";
    return 1;
  }
}
