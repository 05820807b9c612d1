#pragma once

#include <cstddef>
#include <cstdint>

namespace fathom::cpu {

/// Who holds a thread's scratch memory. A call that holds one may call what holds a later one.
enum class Scratch {
  weights,   // packed for one call, by the thread that calls the op
  partials,  // sums that are added up at the end of an op, by the thread that calls it
  task,      // inside one chunk of a parallel_for
};
constexpr int kScratchUses = 3;

/// Uninitialised memory of this thread, 64-byte aligned, valid until its next request for the same
/// use. It is kept from call to call and grows, so the steady state allocates nothing.
std::byte* scratch_bytes(Scratch use, int64_t bytes);

template <class T>
T* scratch(Scratch use, int64_t count) {
  return reinterpret_cast<T*>(scratch_bytes(use, count * int64_t(sizeof(T))));
}

}  // namespace fathom::cpu
