#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/cuda/memory.h"
#include "core/cuda/step_values.h"
#include "core/cuda/stream.h"

namespace fathom::cuda {

/// The numbers of a training step in device memory, so that a captured step (core/cuda/graph.h)
/// reads new ones at every replay and nobody waits: the host writes ahead of a step and reads at
/// the logging point.
class StepScalars {
 public:
  explicit StepScalars(int device);

  /// For kernels.
  StepValues* values() { return reinterpret_cast<StepValues*>(memory_.device_data<uint8_t>()); }

  /// Queues the rate for the steps that are queued afterwards. Waits only for the call before the
  /// last few.
  void set_learning_rate(CudaStream stream, float rate);
  /// Queues step += 1; the first thing in a step, inside a capture.
  void advance(CudaStream stream);
  /// Everything, for example from a checkpoint.
  void write(CudaStream stream, const StepValues& values);
  /// Waits for the stream.
  StepValues read(CudaStream stream);

 private:
  static constexpr size_t kAhead = 8;  // learning rates under way
  Tensor memory_;
  PinnedBuffer rates_, values_;
  std::array<Event, kAhead> copied_;
  std::array<bool, kAhead> used_{};
  size_t next_ = 0;
};

}  // namespace fathom::cuda
