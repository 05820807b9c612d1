#include "core/allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "core/cgroup.h"
#include "core/error.h"
#include "core/free_list.h"
#include "core/shape.h"

namespace fathom::allocator {
namespace {

constexpr int64_t kGuardBytes = 64;
constexpr unsigned char kGuardByte = 0xa5, kPoison = 0xff;

// One contiguous range of address space, touched from the bottom up.
class Region {
 public:
  std::byte* take(int64_t bytes) {
    std::byte* block = free_.take(bytes);
    return block ? block : grow(bytes);
  }
  void give_back(std::byte* block, int64_t bytes) { free_.give_back(block, bytes, base_, end_); }
  int64_t touched() const { return top_ - base_; }

 private:
  std::byte* grow(int64_t bytes) {
    if (!base_) reserve();
    // A free block at the very top is extended rather than left behind.
    std::byte* block = top_;
    const auto [last, last_bytes] = free_.last();
    if (last && last + last_bytes == top_) block = last;
    if (end_ - block < bytes) return nullptr;
    if (block == last) free_.remove(last, last_bytes);
    top_ = block + bytes;
    return block;
  }

  // Address space only: pages come when touched. Halved until the system agrees (ulimit -v).
  void reserve() {
    for (int64_t size = int64_t(1) << 42; size >= (int64_t(1) << 26); size /= 2) {
      void* range = ::mmap(nullptr, size_t(size), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (range == MAP_FAILED) continue;
      ::madvise(range, size_t(size), MADV_HUGEPAGE);
      base_ = top_ = static_cast<std::byte*>(range);
      end_ = base_ + size;
      return;
    }
  }

  std::byte *base_ = nullptr, *top_ = nullptr, *end_ = nullptr;
  FreeList free_;
};

struct Block {
  int64_t asked = 0, held = 0;
  bool guarded = false;
};

struct State {
  std::mutex mutex;
  Region region;
  std::map<std::byte*, Block> live;
  MemoryStatistics statistics;
  int64_t limit = 0;
  bool guards = false;
};

State& state() {
  static State* instance = new State;  // outlives every static tensor
  return *instance;
}

// Memory is touched long after it is promised: without this bound the kernel would kill us instead.
int64_t machine_bytes() {
  static const int64_t bytes = [] {
    const int64_t physical = int64_t(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
    const int64_t lent = cgroup_limits().memory_bytes;
    return lent > 0 ? std::min(lent, physical) : physical;
  }();
  return bytes;
}

bool intact(const std::byte* data, const Block& block) {
  const auto all_guard = [](const std::byte* from) {
    for (int64_t i = 0; i < kGuardBytes; ++i)
      if (from[i] != std::byte(kGuardByte)) return false;
    return true;
  };
  return all_guard(data - kGuardBytes) && all_guard(data + block.asked);
}

std::byte* take(State& s, int64_t bytes) {
#ifdef FATHOM_SANITIZE  // every block on its own, so that the sanitizer sees its borders
  (void)s;
  return static_cast<std::byte*>(std::aligned_alloc(kAlignment, size_t(bytes)));
#else
  return s.region.take(bytes);
#endif
}

void give_back(State& s, std::byte* block, int64_t bytes) {
#ifdef FATHOM_SANITIZE
  (void)s, (void)bytes;
  std::free(block);
#else
  s.region.give_back(block, bytes);
#endif
}

}  // namespace

std::byte* allocate(int64_t bytes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  MemoryStatistics& stats = s.statistics;
  check(bytes >= 0 && bytes <= machine_bytes() - stats.current_bytes, "out of memory: ", bytes,
        " bytes asked for, ", stats.current_bytes, " in use, the machine has ", machine_bytes(),
        "; reduce the batch or the image size");
  check(s.limit == 0 || bytes <= s.limit - stats.current_bytes, "out of memory: ", bytes,
        " bytes asked for, ", stats.current_bytes, " in use, limit ", s.limit,
        "; reduce the batch or the image size, or raise the limit");
  const int64_t margin = s.guards ? kGuardBytes : 0;
  const Block block{bytes, round_up(std::max<int64_t>(bytes + 2 * margin, 1), kAlignment),
                    s.guards};
  std::byte* raw = take(s, block.held);
  check(raw != nullptr, "out of memory: ", bytes, " bytes asked for, ", stats.current_bytes,
        " in use; reduce the batch or the image size");
  std::byte* data = raw + margin;
  if (s.guards) {
    std::memset(raw, kGuardByte, size_t(kGuardBytes));
    std::memset(data, kPoison, size_t(bytes));
    std::memset(data + bytes, kGuardByte, size_t(kGuardBytes));
  }
  s.live.emplace(data, block);
  stats.current_bytes += bytes;
  stats.peak_bytes = std::max(stats.peak_bytes, stats.current_bytes);
  ++stats.allocations;
  if (profile::is_on()) profile::set_memory(kCpu, stats.current_bytes);
  return data;
}

void release(std::byte* data) noexcept {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto it = s.live.find(data);
  const Block block = it->second;
  if (block.guarded && !intact(data, block)) {
    std::fprintf(stderr, "memory was written outside a tensor of %lld bytes\n",
                 static_cast<long long>(block.asked));
    std::abort();
  }
  s.live.erase(it);
  s.statistics.current_bytes -= block.asked;
  if (profile::is_on()) profile::set_memory(kCpu, s.statistics.current_bytes);
  give_back(s, data - (block.guarded ? kGuardBytes : 0), block.held);
}

MemoryStatistics statistics() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.statistics.reserved_bytes = s.region.touched();
  return s.statistics;
}

void reset_peak() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.statistics.peak_bytes = s.statistics.current_bytes;
}

void set_limit(int64_t bytes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.limit = bytes;
}

void enable_guards(bool on) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.guards = on;
}

void check_guards() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  for (const auto& [data, block] : s.live)
    check(!block.guarded || intact(data, block), "memory was written outside a tensor of ",
          block.asked, " bytes");
}

}  // namespace fathom::allocator
