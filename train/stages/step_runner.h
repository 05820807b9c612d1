#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/step_device.h"
#include "train/losses.h"
#include "train/optimizer.h"

namespace fathom {

/// Runs the model on a batch on the device and returns the loss on the tape: a function of these
/// tensors and the weights, which waits for nothing and reports the same names every time.
using StepLoss = std::function<Tensor(const std::vector<Tensor>& batch, LossReport&)>;

/// Steps of an optimiser on its device. On a GPU no step is waited for: batches are uploaded while
/// the one before is computed, and numbers are read when they are asked for. The third step is
/// captured, and replayed from then on with new batches copied to where it reads them.
class StepRunner {
 public:
  struct Options {
    Device device = kCpu;
    bool graph = true;  // false: no step is captured
    /// Is told why a step could not be captured; training goes on without.
    std::function<void(const std::string&)> on_note = {};
  };
  /// The optimiser must outlive this.
  StepRunner(const Options& options, Optimizer& optimizer);

  /// A batch on the device, from the CPU.
  std::vector<Tensor> upload(const std::vector<Tensor>& batch) { return device_->upload(batch); }

  /// A step over the micro-batches, with rates of lr_factor times the options'. Throws Error where
  /// a batch has other shapes than the ones before it, once a step is captured.
  void take(const std::vector<std::vector<Tensor>>& micro_batches, double lr_factor,
            const StepLoss& loss);

  /// What a step has said; entries are sums over its micro-batches.
  struct Finished {
    using Entries = std::vector<std::pair<std::string, double>>;
    StepReport report;
    Entries values = {}, counts = {};  // as in LossReport
  };
  /// Of the steps since the last call, in order. Waits for them.
  std::vector<Finished> finished();

  /// Whether the device works while this thread goes on.
  bool runs_behind() const { return device_->runs_behind(); }
  bool captured() const { return captured_.has_value(); }

 private:
  using Batches = std::vector<std::vector<Tensor>>;
  Tensor queue(const Batches& batches, const Tensor& lr_factor, const StepLoss& loss);
  void capture(const Batches& batches, const Tensor& lr_factor, const StepLoss& loss);

  Options options_;
  Optimizer& optimizer_;
  std::unique_ptr<StepDevice> device_;
  struct Name {
    std::string name;
    bool is_count;
  };
  std::vector<Name> names_;  // of the numbers behind a step's decision
  int64_t steps_ = 0;
  struct Captured {  // what the captured step reads and writes
    Batches batches;
    Tensor lr_factor, numbers;
  };
  std::optional<Captured> captured_;
};

}  // namespace fathom
