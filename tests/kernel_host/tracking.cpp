// Races, uninitialised reads and bounds of every access.
#include <algorithm>

#include "tests/kernel_host/internal.h"

namespace fathom::gpu::host {

void mark_block(Worker& w) {
  w.block_start = ++w.now;
  w.fenced = false;
  if (!w.tracking) return;
  std::memset(w.seen, 0, sizeof w.seen);
  w.read_sets.assign(1, {});
  w.block_starts.push_back(w.block_start);
  w.block_indices.push_back(w.block_index);
}

void order_block(Worker& w) {
  ++w.now;
  if (!w.tracking) return;
  for (unsigned a = 0; a < 32; ++a)
    for (unsigned b = 0; b < 32; ++b) w.seen[a][b] = w.now;
}

void order_warp(Worker& w, unsigned warp) { w.seen[warp][warp] = ++w.now; }

void order_grid(Worker& w) {
  w.last_fence = ++w.now;
  w.fenced = true;
}

// ---- tracking -----------------------------------------------------------------------------------

namespace {

constexpr std::uint16_t kManyThreads = 0xffff;

const char* name_of(Access kind) {
  switch (kind) {
    case Access::read: return "read";
    case Access::write: return "write";
    case Access::atomic: return "atomic operation";
    case Access::async_write: return "asynchronous copy";
    case Access::async_read: return "read by wgmma";
  }
  return "";
}

std::string thread_name(unsigned thread) {
  return thread == kAsyncThread   ? "the copy engine"
         : thread == kManyThreads ? "several threads"
                                  : "thread " + std::to_string(thread);
}

[[noreturn]] void fail_access(Worker& w, unsigned thread, Access kind, std::uint32_t pc,
                              const std::string& what) {
  std::string text = what + "\n  " + name_of(kind) + " by " + thread_name(thread) + " of block " +
                     describe(w.block_index);
  if (pc != 0) text += " at " + describe_pc(pc);
  fail_with(std::move(text));
}

[[noreturn]] void race(Worker& w, const Region& r, std::uintptr_t at, unsigned thread, Access kind,
                       std::uint32_t pc, const char* earlier, unsigned other, std::uint32_t time,
                       std::uint32_t other_pc) {
  std::string text =
      "race on " + describe_region(r, at) + "\n  earlier " + earlier + " by " + thread_name(other);
  if (time < w.block_start) {
    std::size_t i = 0;
    while (i + 1 < w.block_starts.size() && w.block_starts[i + 1] <= time) ++i;
    text += " of block " + describe(w.block_indices[i]);
  }
  if (other_pc != 0) text += " at " + describe_pc(other_pc);
  text += time < w.block_start ? ", which nothing orders" : ", with no barrier between them";
  fail_access(w, thread, kind, pc, text);
}

bool cross_block_ordered(const Worker& w, std::uint32_t time) {
  return w.fenced && time < w.last_fence;
}

void track(Worker& w, const Region& r, std::uintptr_t at, Cell& c, unsigned thread, Access kind,
           std::uint32_t pc) {
  const unsigned warp = thread / 32;
  const std::uint32_t* seen = w.seen[warp];
  const bool is_atomic = kind == Access::atomic;
  const bool is_read = kind == Access::read || kind == Access::async_read;

  // against the last write
  if (c.write_time >= w.block_start) {
    if (c.pending) {
      if (kind != Access::async_write || c.write_thread != thread || thread == kAsyncThread)
        fail_access(w, thread, kind, pc,
                    "use of " + describe_region(r, at) + ", into which " +
                        thread_name(c.write_thread) + " is copying (at " + describe_pc(c.write_pc) +
                        "), before the copy was waited for");
    } else if (c.write_thread != thread && c.write_time >= seen[c.write_thread / 32] &&
               !(is_atomic && c.atomic)) {
      race(w, r, at, thread, kind, pc, c.atomic ? "atomic operation" : "write", c.write_thread,
           c.write_time, c.write_pc);
    }
  } else if (r.shared) {
    if (is_read || is_atomic)
      fail_access(w, thread, kind, pc, "read of uninitialised " + describe_region(r, at));
  } else if (c.write_time >= w.launch_start) {
    if (!(is_atomic && c.atomic) && !cross_block_ordered(w, c.write_time))
      race(w, r, at, thread, kind, pc, c.atomic ? "atomic operation" : "write", c.write_thread,
           c.write_time, c.write_pc);
  } else if (!c.initialised && (is_read || is_atomic)) {
    fail_access(w, thread, kind, pc, "read of uninitialised " + describe_region(r, at));
  }

  if (kind == Access::async_read && c.write_thread != kAsyncThread &&
      c.write_time >= w.threads[c.write_thread].proxy_fence)
    fail_access(w, thread, kind, pc,
                "read of " + describe_region(r, at) + ", which " + thread_name(c.write_thread) +
                    " wrote (at " + describe_pc(c.write_pc) +
                    ") without a fence_proxy_async after it");
  if (is_read) {
    if (c.read_time < w.block_start) {
      c.other_block_read = c.read_time >= w.launch_start;
      c.readers = 0;
      c.read_thread = static_cast<std::uint16_t>(thread);
    } else if (c.readers == 0) {
      if (c.read_thread == thread || c.read_time < seen[c.read_thread / 32]) {
        c.read_thread = static_cast<std::uint16_t>(thread);
      } else {
        c.readers = static_cast<std::uint32_t>(w.read_sets.size());
        ReadSet& set = w.read_sets.emplace_back();
        set.time[c.read_thread / 32] = c.read_time;
        set.thread[c.read_thread / 32] = c.read_thread;
        set.thread[warp] = set.time[warp] != 0 ? kManyThreads : static_cast<std::uint16_t>(thread);
        set.time[warp] = w.now;
      }
    } else {
      ReadSet& set = w.read_sets[c.readers];
      if (set.time[warp] == 0 || set.time[warp] < seen[warp])
        set.thread[warp] = static_cast<std::uint16_t>(thread);
      else if (set.thread[warp] != thread)
        set.thread[warp] = kManyThreads;
      set.time[warp] = w.now;
    }
    c.read_time = w.now;
    c.read_pc = pc;
    return;
  }

  // a write: against the reads since
  if (c.read_time >= w.block_start) {
    if (c.readers == 0) {
      if (c.read_thread != thread && c.read_time >= seen[c.read_thread / 32])
        race(w, r, at, thread, kind, pc, "read", c.read_thread, c.read_time, c.read_pc);
    } else {
      const ReadSet& set = w.read_sets[c.readers];
      for (unsigned v = 0; v < 33; ++v)
        if (set.time[v] != 0 && set.time[v] >= seen[v] && set.thread[v] != thread)
          race(w, r, at, thread, kind, pc, "read", set.thread[v], set.time[v], c.read_pc);
    }
  }
  if (!r.shared &&
      (c.read_time >= w.block_start ? c.other_block_read : c.read_time >= w.launch_start)) {
    const std::uint32_t time = c.read_time >= w.block_start ? w.launch_start : c.read_time;
    if (!cross_block_ordered(w, time))
      race(w, r, at, thread, kind, pc, "read", c.read_thread, time, c.read_pc);
  }
  c.write_time = w.now;
  c.write_thread = static_cast<std::uint16_t>(thread);
  c.write_pc = pc;
  c.read_time = 0;
  c.readers = 0;
  c.other_block_read = 0;
  c.atomic = is_atomic;
  c.pending = kind == Access::async_write;
  c.initialised = 1;
}

void track_all(Worker& w, const Region& r, std::uintptr_t a, std::size_t bytes, unsigned thread,
               Access kind, std::uint32_t pc) {
  const std::size_t first = (a - r.base) >> r.granule_shift,
                    last = (a + bytes - 1 - r.base) >> r.granule_shift;
  for (std::size_t i = first; i <= last; ++i)
    track(w, r, r.base + (i << r.granule_shift), r.cells[i], thread, kind, pc);
}

}  // namespace

void access(Worker& w, unsigned thread, const void* address, std::size_t bytes, Access kind,
            std::uint32_t pc) {
  const auto a = reinterpret_cast<std::uintptr_t>(address);
  if (a - reinterpret_cast<std::uintptr_t>(w.arena) < kArenaBytes) {
    for (const Region& r : w.shared)
      if (a - r.base < r.bytes) {
        if (a + bytes > r.base + r.bytes) break;
        track_all(w, r, a, bytes, thread, kind, pc);
        return;
      }
    fail_access(w, thread, kind, pc, "out of bounds of " + describe_shared(w, a));
  }
  if (const Region* r = find_device(a)) {
    if (a < r->base || a + bytes > r->base + r->bytes)
      fail_access(w, thread, kind, pc, "out of bounds of " + describe_region(*r, a));
    if (r->cells != nullptr) track_all(w, *r, a, bytes, thread, kind, pc);
    return;
  }
  if (a - reinterpret_cast<std::uintptr_t>(w.call) < w.call->bytes) return;
  if (is_constant(a)) return;
  if (a - reinterpret_cast<std::uintptr_t>(w.stack_memory) < kMaxThreads * kStackBytes)
    fail_access(w, thread, kind, pc, "use of another thread's local variable");
  fail_access(w, thread, kind, pc, "use of memory that is not the device's");
}

void layer_access(Worker& w, unsigned thread, const void* address, std::size_t bytes, Access kind,
                  std::uint32_t pc, bool shared, const char* operation) {
  const auto a = reinterpret_cast<std::uintptr_t>(address);
  if (a % 16 != 0)
    fail_access(w, thread, kind, pc,
                std::string(operation) + ": the address is not a multiple of 16 bytes");
  if (shared) {
    const Region* r = find_shared(w, a);
    if (r == nullptr || a + bytes > r->base + r->bytes)
      fail_access(w, thread, kind, pc,
                  std::string(operation) + ": out of bounds of " + describe_shared(w, a));
  } else if (const Region* r = find_device(a);
             r == nullptr || a < r->base || a + bytes > r->base + r->bytes) {
    fail_access(
        w, thread, kind, pc,
        std::string(operation) + ": " +
            (r ? "out of bounds of " + describe_region(*r, a) : "the address is not the device's"));
  }
}

void finish_async_write(Worker& w, void* address, std::size_t bytes) {
  if (!w.tracking) return;
  const auto a = reinterpret_cast<std::uintptr_t>(address);
  const Region& r = *find_shared(w, a);
  for (std::size_t i = (a - r.base) >> r.granule_shift;
       i <= (a + bytes - 1 - r.base) >> r.granule_shift; ++i) {
    r.cells[i].pending = 0;
    r.cells[i].write_time = w.now;
  }
}

}  // namespace fathom::gpu::host
