#pragma once

#include <cstdint>
#include <type_traits>

namespace fathom {

/// Threads that parallel_for may use, the calling one included. The default is FATHOM_THREADS or,
/// without it, the CPUs this process may run on, bounded by its cgroup's quota.
int thread_count();

/// Changes the number of threads; 1 means that no worker exists. With `pin`, thread i runs on the
/// i-th CPU of the process's affinity mask only (for benchmarks). Not while a parallel_for runs.
void set_thread_count(int count, bool pin = false);

/// CPUs usable by this process: its affinity mask, bounded by the cgroup's CPU quota.
int available_cpus();

namespace detail {
using Chunk = void (*)(void* body, int64_t begin, int64_t end);
void parallel_run(int64_t count, int64_t grain, Chunk chunk, void* body);
/// The number of threads that the text of FATHOM_THREADS asks for; available_cpus() for none.
int threads_from(const char* text);
}  // namespace detail

/// Calls f(begin, end) for consecutive chunks of `grain` (the last one shorter) that together cover
/// [0, count), on the thread pool. Chunk borders depend on count and grain alone, so an f that
/// computes each chunk on its own gives the same bits with any number of threads. A nested call
/// runs on the calling thread. The first exception of a chunk is rethrown here.
template <class F>
void parallel_for(int64_t count, int64_t grain, F&& f) {
  using Body = std::remove_reference_t<F>;
  detail::parallel_run(
      count, grain,
      [](void* body, int64_t begin, int64_t end) { (*static_cast<Body*>(body))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace fathom
