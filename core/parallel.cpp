#include "core/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/cgroup.h"
#include "core/error.h"
#include "core/profile.h"

namespace fathom {
namespace {

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Spinning covers the gaps between the kernels of one model; two spinning threads that share a
// virtual CPU would stall each other, so it is short.
constexpr auto kSpin = std::chrono::microseconds(40);

class ThreadPool {
 public:
  ThreadPool(int threads, bool pin);
  ~ThreadPool();
  int threads() const { return int(workers_.size()) + 1; }
  bool pinned() const { return pinned_; }
  void run(int64_t count, int64_t grain, detail::Chunk chunk, void* body);

 private:
  void work(int index, bool pin);
  bool claim_and_run(bool worker);

  // A job. Written by the caller before it publishes ticket_, and stable until done_ reaches
  // total_: whoever claimed a chunk holds the job open.
  int64_t count_ = 0, grain_ = 1, total_ = 0;
  detail::Chunk chunk_ = nullptr;
  void* body_ = nullptr;
  profile::Job job_;
  std::exception_ptr failure_;
  std::mutex failure_mutex_;

  alignas(64) std::atomic<int64_t> remaining_{0};  // chunks not yet claimed
  alignas(64) std::atomic<int64_t> done_{0};       // chunks finished
  alignas(64) std::atomic<uint32_t> epoch_{0};     // grows with every job; workers sleep on it
  std::atomic<bool> stop_{false};
  std::mutex busy_;  // one parallel region at a time
  const bool pinned_;
  std::vector<std::thread> workers_;
};

thread_local bool inside_region = false;

// The CPUs that the process was started with; pinning narrows the mask of single threads only.
const cpu_set_t& process_cpus() {
  static const cpu_set_t cpus = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    return set;
  }();
  return cpus;
}

void pin_to(int index) {
  const cpu_set_t& allowed = process_cpus();
  const int cpus = CPU_COUNT(&allowed);
  if (cpus == 0) return;
  int seen = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || seen++ != index % cpus) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

ThreadPool::ThreadPool(int threads, bool pin) : pinned_(pin) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i, pin] { work(i, pin); });
  if (pin) pin_to(0);
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  if (pinned_) sched_setaffinity(0, sizeof(cpu_set_t), &process_cpus());
}

// Claims one chunk and runs it. The decrement that takes remaining_ from n to n - 1 owns chunk
// total_ - n; until that chunk is done the caller cannot return, so the job's fields are stable.
bool ThreadPool::claim_and_run(bool worker) {
  int64_t left = remaining_.load(std::memory_order_acquire);
  do {
    if (left <= 0) return false;
  } while (!remaining_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                             std::memory_order_acquire));
  const int64_t begin = (total_ - left) * grain_;
  const bool profiled = worker && job_.number != 0;
  const int64_t begin_ns = profiled ? profile::now_ns() : 0;
  try {
    chunk_(body_, begin, std::min(count_, begin + grain_));
  } catch (...) {
    const std::lock_guard lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
  if (profiled) profile::end_work(job_, begin_ns);
  done_.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

void ThreadPool::work(int index, bool pin) {
  inside_region = true;  // a parallel_for inside a chunk stays on this thread
  profile::set_worker(index);
  if (pin) pin_to(index);
  for (;;) {
    // The epoch first: a stop that comes after it changes it, so the wait below cannot miss it.
    const uint32_t epoch = epoch_.load();
    if (stop_) return;
    while (claim_and_run(true)) {
    }
    const auto deadline = std::chrono::steady_clock::now() + kSpin;
    while (remaining_.load(std::memory_order_relaxed) <= 0 && epoch_.load() == epoch &&
           std::chrono::steady_clock::now() < deadline)
      for (int i = 0; i < 16; ++i) pause();
    if (remaining_.load() <= 0) epoch_.wait(epoch);
  }
}

void ThreadPool::run(int64_t count, int64_t grain, detail::Chunk chunk, void* body) {
  const int64_t total = (count + grain - 1) / grain;
  std::unique_lock lock(busy_, std::defer_lock);
  if (total <= 1 || workers_.empty() || inside_region || !lock.try_lock()) {
    for (int64_t i = 0; i < total; ++i) chunk(body, i * grain, std::min(count, (i + 1) * grain));
    return;
  }
  inside_region = true;
  const profile::Job job = profile::is_on() ? profile::begin_job() : profile::Job{};
  job_ = job;
  count_ = count, grain_ = grain, total_ = total, chunk_ = chunk, body_ = body;
  failure_ = nullptr;
  done_.store(0, std::memory_order_relaxed);
  remaining_.store(total, std::memory_order_release);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  while (claim_and_run(false)) {
  }
  const int64_t wait_ns = job.number != 0 ? profile::now_ns() : 0;
  for (int spins = 0; done_.load(std::memory_order_acquire) < total; ++spins) {
    if (spins < 4096)
      pause();
    else
      std::this_thread::yield();
  }
  if (job.number != 0) profile::end_wait(job, wait_ns);
  inside_region = false;
  const std::exception_ptr failure = std::exchange(failure_, nullptr);
  if (failure) std::rethrow_exception(failure);
}

std::unique_ptr<ThreadPool>& pool() {
  static std::unique_ptr<ThreadPool> instance =
      std::make_unique<ThreadPool>(detail::threads_from(std::getenv("FATHOM_THREADS")), false);
  return instance;
}

}  // namespace

int available_cpus() {
  int cpus = CPU_COUNT(&process_cpus());
  if (cpus == 0) cpus = int(std::thread::hardware_concurrency());
  const double quota = cgroup_limits().cpus;
  if (quota > 0) cpus = std::min(cpus, int(quota + 0.5));
  return std::max(1, cpus);
}

int detail::threads_from(const char* text) {
  if (!text || !*text) return available_cpus();
  char* end = nullptr;
  const long threads = std::strtol(text, &end, 10);
  check(*end == 0 && threads >= 1 && threads <= 1024, "FATHOM_THREADS=", text,
        ": expected a number of threads from 1 to 1024");
  return int(threads);
}

int thread_count() { return pool()->threads(); }

void set_thread_count(int count, bool pin) {
  check(count >= 1 && count <= 1024, "set_thread_count: expected 1 to 1024 threads, got ", count);
  if (count == thread_count() && pin == pool()->pinned()) return;
  pool().reset();
  pool() = std::make_unique<ThreadPool>(count, pin);
}

void detail::parallel_run(int64_t count, int64_t grain, Chunk chunk, void* body) {
  check(grain >= 1, "parallel_for: grain must be at least 1, got ", grain);
  if (count > 0) pool()->run(count, grain, chunk, body);
}

}  // namespace fathom
