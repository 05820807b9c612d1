#pragma once

#include <memory>

#include "core/cuda/driver.h"
#include "core/stream.h"

namespace fathom::cuda {

/// A destroyed stream or event finishes what was queued; nobody waits for it.
struct DestroyHandle {
  void operator()(CUstream_st* stream) const noexcept { driver::destroy(stream); }
  void operator()(CUevent_st* event) const noexcept { driver::destroy(event); }
  void operator()(CUgraphExec_st* graph) const noexcept { driver::destroy(graph); }
};

/// A point in a queue, to be waited for.
class Event {
 public:
  enum class Use { order, timing };
  explicit Event(int device, Use use = Use::order);

  void record(CudaStream stream) { driver::record(handle_.get(), stream.handle); }
  /// Work queued to the stream from now on waits until the event has passed; the caller does not.
  void hold(CudaStream stream) const { driver::wait(stream.handle, handle_.get()); }
  bool is_done() const { return driver::is_done(handle_.get()); }
  void synchronize() const { driver::synchronize(handle_.get()); }
  /// Between two events for timing that both have passed.
  static double elapsed_ms(const Event& from, const Event& to) {
    return driver::elapsed_ms(from.handle_.get(), to.handle_.get());
  }

 private:
  std::unique_ptr<CUevent_st, DestroyHandle> handle_;
};

/// A queue beside the one that every thread starts with, for copies that overlap with kernels.
class Stream {
 public:
  explicit Stream(int device);
  operator CudaStream() const { return {handle_.get(), device_}; }
  void synchronize() const { driver::synchronize(handle_.get()); }

 private:
  int device_;
  std::unique_ptr<CUstream_st, DestroyHandle> handle_;
};

/// Ops of this thread on the stream's device use the stream, until the end of the scope.
class StreamScope {
 public:
  explicit StreamScope(CudaStream stream);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  CudaStream previous_;
};

/// Waits for what this thread's stream of the device holds. For tests, timing and the end.
void synchronize(int device);

}  // namespace fathom::cuda
