// One configuration of the engine as a long-lived process, poked by bench/compare/cpu_baselines.py,
// whose docstring defines the protocol on stdin and stdout.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/elementwise.h"
#include "kernels/reduce.h"
#include "models/load.h"
#include "tests/models/hash_fill.h"

namespace fathom {

// The process's peak resident memory. Not getrusage: its maximum survives exec.
static double peak_rss_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atof(line.c_str() + 6) / 1024;
  return 0;
}

class Worker {
 public:
  Worker(const std::string& weights, DType dtype, bool train, int64_t size)
      : model_(load_model(weights, {}).model),
        image_(hash_input(size, size)),
        dtype_(dtype),
        train_(train) {
    if (train_) {
      require_grad(model_);
      weights_ = hash_loss_weights({1, size, size});
    } else {
      prepare_for_inference(model_, dtype);
    }
  }

  void run() {
    if (!train_) {
      const NoGrad no_grad;
      result_ = model_(image_.to(dtype_)).to(DType::f32);
      return;
    }
    for_each_parameter(model_, [](const std::string&, Tensor& t, AxisOrder) { t.clear_grad(); });
    backward(sum(mul(model_(image_), weights_)));
    result_ = model_.pretrained.patch_embed.proj.weight.grad();
  }

  int64_t write_result(const std::string& path) const {
    const Tensor published =
        train_ ? published_view(result_, AxisOrder::conv).contiguous() : result_;
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(published.data<float>()),
               std::streamsize(published.bytes()));
    return published.numel();
  }

 private:
  DepthAnything model_;
  Tensor image_, weights_, result_;
  DType dtype_;
  bool train_;
};

static int serve(Worker& worker) {
  for (int i = 0; i < 2; ++i) worker.run();
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line) && line != "q";) {
    if (line == "r") {
      std::cout << peak_rss_mib() << std::endl;
    } else if (line.starts_with("o ")) {
      std::cout << worker.write_result(line.substr(2)) << std::endl;
    } else {
      const auto start = std::chrono::steady_clock::now();
      worker.run();
      const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - start;
      std::cout << ms.count() << std::endl;
    }
  }
  return 0;
}

}  // namespace fathom

int main(int argc, char** argv) {
  CLI::App program("Worker for bench/compare/cpu_baselines.py", "fathom_bench_model");
  std::string weights, dtype = "f32";
  int threads = 1;
  int64_t size = 518;
  bool train = false;
  program.add_option("--weights", weights)->required();
  program.add_option("--threads", threads);
  program.add_option("--size", size);
  program.add_option("--dtype", dtype)->check(CLI::IsMember({"f32", "bf16", "f16"}));
  program.add_flag("--train", train);
  CLI11_PARSE(program, argc, argv);
  try {
    using fathom::DType;
    fathom::set_thread_count(threads, true);
    fathom::Worker worker(weights,
                          dtype == "f32"    ? DType::f32
                          : dtype == "bf16" ? DType::bf16
                                            : DType::f16,
                          train, size);
    return fathom::serve(worker);
  } catch (const std::exception& error) {
    std::cerr << "fathom_bench_model: " << error.what() << "\n";
    return 1;
  }
}
