#pragma once

#include <cstddef>
#include <cstdint>

#include "core/stream.h"

namespace fathom {

/// Bytes handed out by an allocator, at this moment and at most so far.
struct MemoryStatistics {
  int64_t current_bytes = 0;
  int64_t peak_bytes = 0;      // since the start or the last reset_peak()
  int64_t reserved_bytes = 0;  // address space ever touched, the upper bound of resident memory
  int64_t allocations = 0;     // calls so far
};

/// The CPU allocator: 64-byte aligned blocks, best fit in one growing region, neighbours merged
/// when freed. Memory once touched is kept, because page faults cost more than most kernels.
namespace allocator {

constexpr int64_t kAlignment = 64;

/// Throws Error when the limit or the machine's memory does not allow it: the message says how much
/// was asked for, is in use, and what the limit is.
std::byte* allocate(int64_t bytes);
void release(std::byte* block) noexcept;

MemoryStatistics statistics();
void reset_peak();

/// Upper bound of current_bytes; 0 removes it.
void set_limit(int64_t bytes);

/// For tests: from now on blocks are filled with 0xff (NaN) and stand between guard bands, which
/// release() and check_guards() verify.
void enable_guards(bool on = true);
/// Throws Error naming the first block whose guard band was overwritten.
void check_guards();

// The same by stream, for Storage; on a CUDA device in the order of the stream, see
// core/cuda/memory.h.
inline std::byte* allocate(CpuStream, int64_t bytes, int64_t) { return allocate(bytes); }
inline void release(CpuStream, std::byte* block) noexcept { release(block); }
std::byte* allocate(CudaStream, int64_t bytes, int64_t element_bytes);
void release(CudaStream, std::byte* block) noexcept;

}  // namespace allocator
}  // namespace fathom
