#pragma once

#include <memory>

#include "core/allocator.h"
#include "core/tensor.h"

namespace fathom::cuda {

/// Device memory, handed out in the order of a stream: a block that was released is reused by the
/// next that fits on the same stream, without asking the driver or waiting for the device. Segments
/// of at least 2 MiB come from the driver and are cut; neighbours are merged when freed. When the
/// driver has no more, segments that are free as a whole go back to it first.
///
/// Tensors get their memory here. Out of memory is an Error that says how much was asked for, is in
/// use, cached and free, and what to reduce; nothing is lost by it.

/// current and peak count what tensors asked for, reserved what the driver gave.
MemoryStatistics memory_statistics(int device);
void reset_peak_memory(int device);

/// Upper bound of the current bytes of a device; 0 removes it.
void set_memory_limit(int device, int64_t bytes);

/// Gives every segment that is free as a whole back to the driver.
void release_cached_memory(int device);

/// Off, every tensor gets memory of its own from the driver: for tests, where the kernel host then
/// knows the bounds of each.
void set_memory_caching(bool on);

/// Tells that work queued on `stream` reads or writes the tensor, whose memory belongs to another
/// stream: when released, it is reused only after that work.
void record_use(const Tensor& x, CudaStream stream);

/// Memory of a captured step: while one is open on a stream, what the stream allocates comes from
/// it alone, and nobody else gets it as long as it lives. See core/cuda/graph.h.
class PrivateMemory {
 public:
  explicit PrivateMemory(CudaStream stream);
  ~PrivateMemory();
  PrivateMemory(const PrivateMemory&) = delete;
  PrivateMemory& operator=(const PrivateMemory&) = delete;
  /// From now on the stream allocates from the common memory again.
  void close();

 private:
  struct Pool* pool_;
  CudaStream stream_;
  bool open_ = true;
};

/// Host memory that a device copies from and to by itself while the caller goes on.
class PinnedBuffer {
 public:
  /// Throws Error when the system has no more of it.
  explicit PinnedBuffer(int64_t bytes);
  std::byte* data() const { return memory_.get(); }
  int64_t bytes() const { return bytes_; }

 private:
  struct Release {
    void operator()(std::byte* memory) const noexcept;
  };
  std::unique_ptr<std::byte, Release> memory_;
  int64_t bytes_;
};

/// Queues a copy of the tensor's bytes, contiguous, from or to the beginning of the buffer, which
/// must stay untouched, or unread, until an event recorded after it has passed.
void upload(CudaStream stream, const PinnedBuffer& from, Tensor& to);
void download(CudaStream stream, const Tensor& from, PinnedBuffer& to);

}  // namespace fathom::cuda
