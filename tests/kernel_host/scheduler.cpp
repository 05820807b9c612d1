// The scheduler: a block's threads as fibers on one thread of the operating system.
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "tests/kernel_host/capture.h"
#include "tests/kernel_host/internal.h"

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};

namespace fathom::gpu::host {

thread_local constinit Worker* worker = nullptr;

namespace {

const std::size_t kPage = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));

std::mutex g_mutex;
Statistics g_statistics{};
std::vector<std::unique_ptr<Worker>> g_idle_workers;

std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

unsigned bit_after(std::uint32_t mask, unsigned bit) {  // the next set bit, cyclic
  const unsigned start = (bit + 1) & 31;
  return (start + std::countr_zero(std::rotr(mask, static_cast<int>(start)))) & 31;
}
unsigned bit_before(std::uint32_t mask, unsigned bit) {
  return (bit + 31 - std::countl_zero(std::rotl(mask, static_cast<int>(32 - bit)))) & 31;
}

}  // namespace

// ---- the ready set ------------------------------------------------------------------------------

void make_ready(Worker& w, unsigned warp, std::uint32_t lanes) {
  if (lanes == 0) return;
  w.warps[warp].ready |= lanes;
  w.ready_warps |= 1u << warp;
}

namespace {

Thread* pick(Worker& w, Order order) {
  if (w.ready_warps == 0) return nullptr;
  unsigned warp = w.current->id / 32, lane = w.current->id % 32;
  switch (order) {
    case Order::forward:
      if (!(w.ready_warps >> warp & 1)) warp = bit_after(w.ready_warps, warp), lane = 31;
      lane = bit_after(w.warps[warp].ready, lane);
      break;
    case Order::reverse:
      if (!(w.ready_warps >> warp & 1)) warp = bit_before(w.ready_warps, warp), lane = 0;
      lane = bit_before(w.warps[warp].ready, lane);
      break;
    case Order::random:
      warp = bit_after(w.ready_warps, w.random(32));
      lane = bit_after(w.warps[warp].ready, w.random(32));
      break;
  }
  Warp& chosen = w.warps[warp];
  chosen.ready &= ~(1u << lane);
  if (chosen.ready == 0) w.ready_warps &= ~(1u << warp);
  return &w.threads[warp * 32 + lane];
}

// ---- fibers -------------------------------------------------------------------------------------

#if defined(__SANITIZE_ADDRESS__)  // frames that never returned have left their marks
extern "C" void __asan_unpoison_memory_region(const volatile void*, std::size_t);
void forget_frames(const Stack& s) {
  __asan_unpoison_memory_region(s.base, static_cast<std::size_t>(s.top - s.base));
}
#else
void forget_frames(const Stack&) {}
#endif

Stack* take_stack(Worker& w) {
  if (w.free_stacks.empty()) {
    // Tops are staggered, so that the fibers' hot frames do not fall into the same cache sets.
    const std::size_t i = w.stacks.size();
    std::byte* base = w.stack_memory + i * kStackBytes;
    if (kPage <= kStackBytes / 4) mprotect(base, kPage, PROT_NONE);  // overflow faults
    w.stacks.push_back({base, base + kStackBytes - (i % 16) * 256});
    w.free_stacks.push_back(&w.stacks.back());
  }
  Stack* stack = w.free_stacks.back();
  w.free_stacks.pop_back();
  forget_frames(*stack);
  return stack;
}

void set_current(Worker& w, Thread* thread) {
  w.current = thread;
  threadIdx = thread->index;
}

[[noreturn]] void fiber_main();

void resume(Worker& w, Thread* next, void** save) {
  if (next->stack == nullptr) {
    next->stack = take_stack(w);
    next->sp = initial_sp(next->stack->top, fiber_main);
  }
  set_current(w, next);
  ++w.counts.switches;
  fathom_gpu_switch(save, next->sp);
}

[[noreturn]] void leave_to_scheduler(Worker& w) {
  w.current = nullptr;
  void* ignored;
  fathom_gpu_switch(&ignored, w.main_sp);
  __builtin_unreachable();
}

std::string ranges(const std::vector<unsigned>& ids) {
  std::string text;
  for (std::size_t i = 0; i < ids.size();) {
    std::size_t j = i;
    while (j + 1 < ids.size() && ids[j + 1] == ids[j] + 1) ++j;
    if (!text.empty()) text += ",";
    text += std::to_string(ids[i]);
    if (j > i) text += "-" + std::to_string(ids[j]);
    i = j + 1;
  }
  return text;
}

}  // namespace

std::string waiting_threads(Worker& w) {
  std::map<std::string, std::vector<unsigned>> groups;
  for (unsigned i = 0; i < w.thread_count; ++i) {
    const Thread& t = w.threads[i];
    const bool live = w.warps[i / 32].live >> (i % 32) & 1;
    const bool ready = w.warps[i / 32].ready >> (i % 32) & 1;
    std::string what = "can go on";
    if (!live)
      what = "have ended";
    else if (t.operation != nullptr && (!ready || t.operation == kPause))
      what = std::string("wait in ") + t.operation + " at " + describe(t.site);
    groups[what].push_back(i);
  }
  std::string text;
  for (const auto& [what, ids] : groups) text += "\n  threads " + ranges(ids) + " " + what;
  return text;
}

[[noreturn]] void deadlock(Worker& w) {
  fail("deadlock: no thread can go on" + waiting_threads(w));
}

void suspend(Worker& w, Order order) {
  Thread* self = w.current;
  Thread* next = pick(w, order);
  if (next == nullptr) deadlock(w);
  w.atomics_in_a_row = 0;
  if (next != self) resume(w, next, &self->sp);
  self->operation = nullptr;
}

void suspend(Worker& w) { suspend(w, w.order); }

namespace {

void exit_thread(Worker& w) {
  Thread& t = *w.current;
  Warp& warp = w.warps[t.id / 32];
  if (!t.copies.empty()) fail("the thread ends with a cp.async that it never waited for");
  if (!t.stores.empty()) fail("the thread ends with a tensor_store that it never waited for");
  for (const WgmmaOperation& op : w.warpgroups[t.id / 128].operations)
    if (!(op.waited >> t.id / 32 % 4 & 1))
      fail("the thread ends with a wgmma that it never waited for");
  const std::uint32_t bit = 1u << (t.id % 32);
  for (std::uint32_t lanes = warp.waiting; lanes != 0; lanes &= lanes - 1) {
    const Thread& other =
        w.threads[t.id / 32 * 32 + static_cast<unsigned>(std::countr_zero(lanes))];
    if (other.mask & bit)
      fail("the thread ends while thread " + std::to_string(other.id) + " waits for it in " +
           other.operation + " at " + describe(other.site));
  }
  if (w.barrier_arrived != 0)
    fail("divergent barrier: the thread ends while others wait in __syncthreads at " +
         describe(w.barrier_site));
  warp.live &= ~bit;
  --w.live_count;
  w.pauses_in_a_row = 0;
}

[[noreturn]] void fiber_main() {
  Worker& w = *worker;
  for (;;) {
    w.in_layer = false;
    w.call->invoke(*w.call);
    w.in_layer = true;
    exit_thread(w);
    if (w.live_count == 0) leave_to_scheduler(w);
    Thread* self = w.current;
    Thread* next = pick(w, w.order);
    if (next == nullptr) deadlock(w);
    Stack* stack = self->stack;
    self->stack = nullptr;
    if (next->stack == nullptr) {  // not started: run it here, without a switch
      next->stack = stack;
      set_current(w, next);
    } else {
      w.free_stacks.push_back(stack);
      void* ignored;
      resume(w, next, &ignored);
    }
  }
}

// ---- blocks -------------------------------------------------------------------------------------

std::unique_ptr<Worker> new_worker() {
  auto w = std::make_unique<Worker>();
  const auto map = [](std::size_t bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    return static_cast<std::byte*>(p);
  };
  w->stack_memory = map(kMaxThreads * kStackBytes);
  w->arena = map(kArenaBytes);
  w->stacks.reserve(kMaxThreads);
  return w;
}

void run_block(Worker& w, uint3 index) {
  const dim3 size = w.block_size;
  w.block_index = index;
  blockIdx = index;
  blockDim = size;
  gridDim = w.grid_size;
  w.live_count = w.thread_count;
  w.ready_warps = 0;
  for (unsigned first = 0, warp = 0; first < w.thread_count; first += 32, ++warp) {
    const unsigned lanes = std::min(32u, w.thread_count - first);
    w.warps[warp] = {};
    w.warps[warp].live = lanes == 32 ? ~0u : (1u << lanes) - 1;
    make_ready(w, warp, w.warps[warp].live);
  }
  w.barrier_arrived = 0;
  for (NamedBarrier& b : w.named) b = {};
  w.barriers.clear();
  w.tensor_copies.clear();
  for (Warpgroup& g : w.warpgroups) g.arrived = 0, g.operations.clear();
  w.shared.clear();
  w.dynamic_regions.clear();
  w.static_used = 0;
  w.atomics_in_a_row = w.pauses_in_a_row = 0;
  const std::uint64_t linear =
      index.x + static_cast<std::uint64_t>(w.grid_size.x) *
                    (index.y + static_cast<std::uint64_t>(w.grid_size.y) * index.z);
  w.rng = mix(options().seed ^ mix(linear)) | 1;
  w.async = options().async != Async::random ? options().async
            : w.random(2)                    ? Async::early
                                             : Async::late;
  mark_block(w);

  Thread before_first;  // a neighbour for pick()
  before_first.id = static_cast<std::uint16_t>(w.order == Order::reverse ? 0 : w.thread_count - 1);
  w.current = &before_first;
  Thread* first = pick(w, w.order);
  resume(w, first, &w.main_sp);

  for (unsigned i = 0; i < w.thread_count;
       ++i) {  // stacks of the last thread and of abandoned ones
    Thread& t = w.threads[i];
    if (t.stack != nullptr) w.free_stacks.push_back(t.stack);
    t.stack = nullptr;
    t.operation = nullptr;
    t.copies.clear();
    t.group = 0;
    t.proxy_fence = 0;
    t.wgmma_group = 0;
    t.stores.clear();
    t.store_group = 0;
  }
  for (const TensorCopy& copy : w.tensor_copies)
    if (!copy.done && w.error.empty())
      w.error = "block " + describe(index) + " ends with a tensor_load that nothing waited for";
  if (w.error.empty()) verify_redzones(w);
  ++w.counts.blocks;
  w.counts.threads += w.thread_count;
}

void start_launch(Worker& w, const Grid& grid, dim3 block, std::size_t shared_bytes,
                  const Call& call) {
  w.grid_size = grid;
  w.block_size = block;
  w.call = &call;
  w.order = options().order;
  w.dynamic_limit = static_cast<std::uint32_t>(shared_bytes);
  w.error.clear();
  w.thread_count = block.x * block.y * block.z;
  w.tracking = kernels_are_instrumented;
  w.launch_start = ++w.now;
  w.last_fence = 0;
  w.block_starts.clear();
  w.block_indices.clear();
  if (w.tracking && w.arena_cells.empty()) w.arena_cells.resize(kArenaBytes);
  unsigned i = 0;
  for (unsigned z = 0; z < block.z; ++z)
    for (unsigned y = 0; y < block.y; ++y)
      for (unsigned x = 0; x < block.x; ++x, ++i) {
        w.threads[i].index = {x, y, z};
        w.threads[i].id = static_cast<std::uint16_t>(i);
      }
}

}  // namespace

Statistics statistics() {
  const std::lock_guard lock(g_mutex);
  return g_statistics;
}
void reset_statistics() {
  const std::lock_guard lock(g_mutex);
  g_statistics = {};
}

void run(const Grid& grid, dim3 block, std::size_t shared_bytes, const Call& call) {
  const auto refuse = [&](const char* why) {
    throw KernelError(std::string(why) + "\nlaunched at " + describe(grid.site));
  };
  if (worker != nullptr) refuse("a kernel cannot launch kernels");
  const std::uint64_t threads = static_cast<std::uint64_t>(block.x) * block.y * block.z;
  if (threads == 0 || threads > kMaxThreads || block.z > 64) refuse("invalid block size");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
      grid.z > 65535)
    refuse("invalid grid size");
  if (shared_bytes > kDynamicLimit)
    refuse("more dynamic shared memory than a block may have (227 KB)");
  if (is_capturing()) return capture(grid, block, shared_bytes, call);

  const std::uint64_t blocks = static_cast<std::uint64_t>(grid.x) * grid.y * grid.z;
  unsigned workers = options().workers > 0 ? static_cast<unsigned>(options().workers)
                                           : std::max(1u, std::thread::hardware_concurrency());
  static std::mutex one_launch;  // tracking follows one block at a time, on one clock
  std::unique_lock<std::mutex> alone(one_launch, std::defer_lock);
  if (kernels_are_instrumented) {
    alone.lock();
    workers = 1;
  }
  workers = static_cast<unsigned>(std::min<std::uint64_t>(workers, blocks));

  std::vector<std::uint64_t> shuffled;
  if (options().order == Order::random && blocks > 1 && blocks < (1u << 20)) {
    shuffled.resize(blocks);
    std::uint64_t rng = options().seed;
    for (std::uint64_t i = 0; i < blocks; ++i) {
      shuffled[i] = i;
      std::swap(shuffled[i], shuffled[(rng = mix(rng)) % (i + 1)]);
    }
  }

  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> stop{false};
  std::string error;

  const auto work = [&] {
    std::unique_ptr<Worker> own;
    {
      const std::lock_guard lock(g_mutex);
      if (!g_idle_workers.empty())
        own = std::move(g_idle_workers.back()), g_idle_workers.pop_back();
    }
    if (!own) own = new_worker();
    Worker& w = *own;
    worker = &w;
    w.in_layer = true;
    start_launch(w, grid, block, shared_bytes, call);
    for (std::uint64_t i; !stop && (i = next++) < blocks;) {
      if (!shuffled.empty())
        i = shuffled[i];
      else if (options().order == Order::reverse)
        i = blocks - 1 - i;
      const uint3 index{static_cast<unsigned>(i % grid.x),
                        static_cast<unsigned>(i / grid.x % grid.y),
                        static_cast<unsigned>(i / grid.x / grid.y)};
      run_block(w, index);
      if (!w.error.empty()) stop = true;
    }
    worker = nullptr;
    const std::lock_guard lock(g_mutex);
    if (!w.error.empty() && error.empty()) error = w.error;
    g_statistics.blocks += w.counts.blocks;
    g_statistics.threads += w.counts.threads;
    g_statistics.switches += w.counts.switches;
    g_statistics.barriers += w.counts.barriers;
    g_statistics.warp_operations += w.counts.warp_operations;
    g_statistics.mma += w.counts.mma;
    g_statistics.ldmatrix += w.counts.ldmatrix;
    g_statistics.ldmatrix_bank_conflicts += w.counts.ldmatrix_bank_conflicts;
    w.counts = {};
    g_idle_workers.push_back(std::move(own));
  };

  std::vector<std::jthread> others;
  for (unsigned i = 1; i < workers; ++i) others.emplace_back(work);
  work();
  others.clear();  // joins
  {
    const std::lock_guard lock(g_mutex);
    ++g_statistics.launches;
  }
  if (error.empty()) error = verify_device_redzones();
  if (!error.empty())
    throw KernelError(error + "\nlaunched at " + describe(grid.site) + "\nschedule: " + schedule());
}

// ---- failures -----------------------------------------------------------------------------------

std::string describe(const Site& site) {
  const char* file = site.file_name();
  if (const char* slash = std::strrchr(file, '/')) file = slash + 1;
  return std::string(file) + ":" + std::to_string(site.line());
}

std::string describe(uint3 index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," +
         std::to_string(index.z) + ")";
}

void fail(const std::string& what) {
  worker->in_layer = true;
  fail_with(what + "\n  by thread " + std::to_string(worker->current->id) + " of block " +
            describe(worker->block_index));
}

void fail_with(std::string text) {
  worker->error = std::move(text);
  leave_to_scheduler(*worker);
}

void trap(const char* why, Site site) { fail(std::string(why) + " at " + describe(site)); }

}  // namespace fathom::gpu::host
