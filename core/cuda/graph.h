#pragma once

#include <memory>

#include "core/cuda/memory.h"
#include "core/cuda/stream.h"

namespace fathom::cuda {

/// A step of work on a stream, written down once and replayed with one call: no kernel is launched
/// by the CPU any more, and addresses, shapes and constants are those of the first time. What
/// changes from step to step lives on the device: inputs written by upload() or a copy, numbers
/// that kernels compute (kernels/step_decision.h).
///
///     run(step); run(step);            // warm: plans are made, memory grows
///     Graph graph;
///     graph.begin(stream);
///     run(step);                       // nothing happens yet
///     graph.end();
///     for (...) { upload inputs; graph.replay(); }
///
/// A step must not wait for the device: no item(), no to(kCpu). Tensors made inside keep their
/// addresses and belong to the graph; read them between replays.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Drops what the graph held. The calling thread must be the one to end().
  void begin(CudaStream stream);
  /// Throws Error if an operation inside could not be captured. A replay then does the step `times`
  /// times in a row.
  void end(int64_t times = 1);
  /// Queues the whole step.
  void replay() const;
  bool ready() const { return graph_ != nullptr; }

 private:
  CudaStream stream_;
  bool capturing_ = false;
  std::unique_ptr<PrivateMemory> memory_;
  std::unique_ptr<CUgraphExec_st, DestroyHandle> graph_;
};

}  // namespace fathom::cuda
