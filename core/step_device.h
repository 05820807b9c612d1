#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace fathom {

/// The device of a training loop, for a loop that does not wait for it: batches are copied while
/// the step before them is computed, results are read when they are wanted, and a step that is
/// always the same is written down once and replayed with one call. On the CPU everything is done
/// at once, and nothing is captured.
class StepDevice {
 public:
  virtual ~StepDevice() = default;

  /// The tensors, which are on the CPU, on the device. There they come from pinned memory, on a
  /// stream of their own, so the copy overlaps with the work that was queued before.
  virtual std::vector<Tensor> upload(std::span<const Tensor> batch) = 0;

  /// Queues reading a step's numbers, f64 [n], and waits for those of the step before the last, so
  /// that a loop is never more than two steps ahead.
  virtual void report(const Tensor& numbers) = 0;
  /// What was reported since the last call, in order. Waits for it.
  virtual std::vector<std::vector<double>> reports() = 0;

  /// Whether work is queued, so that it is worth fetching a batch before reports() are read, and
  /// whether capture() is possible.
  virtual bool runs_behind() const = 0;

  /// Writes down what the step queues instead of doing it: it must not wait for the device, and
  /// must have run before. Later replays read and write the same tensors. Throws Error where it
  /// cannot be captured; then nothing has happened on the device.
  virtual void capture(const std::function<void()>& step) = 0;
  virtual void replay() = 0;
};

/// Throws Error if this machine has no such device.
std::unique_ptr<StepDevice> step_device(Device device);

std::unique_ptr<StepDevice> make_step_device(CpuStream);
std::unique_ptr<StepDevice> make_step_device(CudaStream);

}  // namespace fathom
