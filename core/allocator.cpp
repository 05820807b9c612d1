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
#include <set>

#include "core/cgroup.h"
#include "core/error.h"
#include "core/shape.h"

namespace fathom::allocator {
namespace {

constexpr int64_t kGuardBytes = 64;
constexpr unsigned char kGuardByte = 0xa5, kPoison = 0xff;

// One contiguous range of address space, touched from the bottom up. Free blocks are found by size
// and merged by address.
class Region {
 public:
  std::byte* take(int64_t bytes) {
    const auto best = by_size_.lower_bound({bytes, nullptr});
    if (best == by_size_.end()) return grow(bytes);
    const auto [size, block] = *best;
    by_size_.erase(best);
    by_address_.erase(block);
    if (size > bytes) insert(block + bytes, size - bytes);
    return block;
  }

  void give_back(std::byte* block, int64_t bytes) {
    const auto next = by_address_.lower_bound(block);
    if (next != by_address_.end() && block + bytes == next->first) {
      bytes += next->second;
      erase(next);
    }
    const auto after = by_address_.lower_bound(block);
    if (after != by_address_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == block) {
        block = before->first;
        bytes += before->second;
        erase(before);
      }
    }
    insert(block, bytes);
  }

  int64_t touched() const { return top_ - base_; }

 private:
  void insert(std::byte* block, int64_t bytes) {
    by_size_.insert({bytes, block});
    by_address_.insert({block, bytes});
  }
  void erase(std::map<std::byte*, int64_t>::iterator it) {
    by_size_.erase({it->second, it->first});
    by_address_.erase(it);
  }

  std::byte* grow(int64_t bytes) {
    if (!base_) reserve();
    // A free block at the very top is extended rather than left behind.
    if (!by_address_.empty()) {
      const auto last = std::prev(by_address_.end());
      if (last->first + last->second == top_) {
        std::byte* block = last->first;
        if (end_ - block < bytes) return nullptr;
        erase(last);
        top_ = block + bytes;
        return block;
      }
    }
    if (end_ - top_ < bytes) return nullptr;
    std::byte* block = top_;
    top_ += bytes;
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
  std::set<std::pair<int64_t, std::byte*>> by_size_;
  std::map<std::byte*, int64_t> by_address_;
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
