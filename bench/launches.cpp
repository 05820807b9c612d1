#include "bench/launches.h"

#include <algorithm>
#include <chrono>

#include "bench/bench.h"
#include "bench/options.h"
#include "bench/plan.h"
#include "bench/statistics.h"
#include "core/autograd.h"
#include "core/cuda.h"
#include "core/profile.h"
#include "core/random.h"

namespace fathom::bench {
namespace {

// The model, input and batch that end a shape: "S/518x518/b1", "level1/S/518x518/b1".
Selection selection_of(const std::string& shape) {
  const size_t batch_at = shape.rfind("/b");
  const size_t image_at = batch_at == std::string::npos ? batch_at : shape.rfind('/', batch_at - 1);
  check(batch_at != std::string::npos && image_at != std::string::npos, "--shape ", shape,
        ": expected model, network input and batch, such as S/518x518/b1");
  const std::string batch = shape.substr(batch_at + 2);
  check(!batch.empty() && batch.size() < 5 &&
            batch.find_first_not_of("0123456789") == std::string::npos && batch[0] != '0',
        "--shape ", shape, ": the batch after /b must be a number from 1 to 9999");
  const std::string before = shape.substr(0, image_at);
  Selection selection;
  selection.models = {model_named(before.substr(before.rfind('/') + 1))};
  selection.images = {image_named(shape.substr(image_at + 1, batch_at - image_at - 1))};
  selection.batches = {std::stol(batch)};
  return selection;
}

// Of an op with several maps, the first that ends with the shape.
Case case_of(const std::string& op, const std::string& shape) {
  const Selection selection = selection_of(shape);
  std::vector<Case> found;
  std::string names, sizes;
  const auto append = [](std::string& list, const std::string& text) {
    list += (list.empty() ? "" : ", ") + text;
  };
  for (const Entry& entry : entries()) {
    append(names, entry.name);
    if (entry.name != op) continue;
    Run run(selection.settings(), [&](const Case& c) {
      append(sizes, c.size);
      if (("/" + c.size).ends_with("/" + shape)) found.push_back(c);
    });
    entry.body(run);
  }
  check(!sizes.empty(), "--kernel ", op, ": no bench has this name; there are ", names);
  check(!found.empty(), "--shape ", shape, ": ", op, " has the shapes ", sizes);
  return found.front();
}

class Operands {
 public:
  Operands(const Case& measured, TensorOptions options) {
    for (const Shape& shape : measured.inputs) {
      Generator generator{leaves_.size() + 1};
      Tensor x = measured.positive ? uniform(shape, generator, 0.1, 1) : normal(shape, generator);
      leaves_.push_back(x.to(options.dtype).to(options.device));
    }
  }
  Tensors& leaves() { return leaves_; }

 private:
  Tensors leaves_;
};

}  // namespace

double Launches::median_s() const { return median(seconds); }

Launches launch(const LaunchOptions& options) {
  check(options.launches >= 1, "--launches must be at least 1, got ", options.launches);
  const size_t slash = options.kernel.find('/');
  const std::string op = options.kernel.substr(0, slash);
  const std::string pass =
      slash == std::string::npos ? "forward" : options.kernel.substr(slash + 1);
  check(pass == "forward" || pass == "backward", "--kernel ", options.kernel,
        ": after the op comes /forward or /backward");
  const bool is_backward = pass == "backward";
  const Case measured = case_of(op, options.shape);
  check(!is_backward || !measured.backward.none(), "--kernel ", options.kernel,
        ": the op has no backward bench");
  check(std::find(measured.dtypes.begin(), measured.dtypes.end(), options.dtype) !=
            measured.dtypes.end(),
        "--dtype ", name_of(options.dtype), ": no bench of ", op, " has it");
  check(!measured.cpu_only || options.device == kCpu, "--device ", options.device, ": ", op,
        " is a loop of the CPU backend; use --device cpu");

  Operands operands(measured, {options.dtype, options.device});
  Tensors& leaves = operands.leaves();
  if (is_backward) {
    for (size_t i = 0; i < leaves.size(); ++i)
      if (std::find(measured.constants.begin(), measured.constants.end(), i) ==
          measured.constants.end())
        leaves[i].set_requires_grad();
  } else if (measured.pack) {
    const NoGrad no_grad;
    measured.pack(leaves);
  }

  Launches done{
      .name = op + "/" + pass + "/" + measured.size + "/" + std::string(name_of(options.dtype)),
      .seconds = {}};
  const auto wait = [&] {
    if (options.device != kCpu) cuda_synchronize(options.device.index);
  };
  const auto timed = [&](auto&& call) {
    wait();
    const auto start = std::chrono::steady_clock::now();
    {
      const profile::Window window("launch");
      call();
    }
    wait();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    done.seconds.push_back(passed.count());
  };
  Tensor dy;
  for (int64_t i = 0; i < options.launches; ++i) {
    if (!is_backward) {
      const NoGrad no_grad;
      timed([&] { measured.op(leaves); });
      continue;
    }
    for (Tensor& leaf : leaves) leaf.clear_grad();
    const Tensor y = measured.op(leaves);
    Generator generator{99};
    if (!dy.defined()) dy = normal(y.shape(), generator).to(y.dtype()).to(y.device());
    timed([&] { backward(y, dy); });
  }
  return done;
}

}  // namespace fathom::bench
