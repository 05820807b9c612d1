// What the files of the kernel host share.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/gpu/hopper.h"

// Saves the callee-saved registers and the stack pointer, and goes on with the other stack.
extern "C" void fathom_gpu_switch(void** save_sp, void* load_sp);

namespace fathom::gpu::host {

inline constexpr unsigned kMaxThreads = 1024;
inline constexpr unsigned kAsyncThread = kMaxThreads;  // whose accesses the copy engine's are
inline constexpr std::uint32_t kArenaBytes = 512 * 1024;
inline constexpr std::uint32_t kStaticBase = 256 * 1024;  // dynamic shared memory lies below
inline constexpr std::uint32_t kRedzone = 64;
inline constexpr std::uint32_t kStaticLimit = 48 * 1024;
inline constexpr std::uint32_t kDynamicLimit = 227 * 1024;
inline constexpr std::size_t kStackBytes = 64 * 1024;

// ---- what is tracked of an element of memory ----------------------------------------------------

// The last write and the reads since.  Times are of Worker::now; a time before Worker::block_start
// is of another block, one before launch_start of another launch.
struct Cell {
  std::uint32_t write_time, read_time;
  std::uint32_t write_pc, read_pc;
  std::uint32_t readers;  // index into Worker::read_sets when several threads have read; 0: one
  std::uint16_t write_thread, read_thread;
  std::uint16_t atomic : 1, pending : 1, initialised : 1, other_block_read : 1;
};

struct ReadSet {
  std::array<std::uint32_t, 33> time;
  std::array<std::uint16_t, 33> thread;
};

struct Region {
  std::uintptr_t base;
  std::uint32_t granule_shift;
  std::size_t bytes;
  Cell* cells;  // one for each granule; null when accesses are not tracked
  const char* name;
  const void* key;
  Site site;
  bool shared;
  bool contains(std::uintptr_t a) const { return a - base < bytes; }
};

// ---- threads ------------------------------------------------------------------------------------

struct Stack {
  std::byte* base = nullptr;
  std::byte* top = nullptr;
};

struct TensorBox {
  TensorMap map;
  std::byte* shared;
  std::array<int, 4> at;
  unsigned thread;
  std::uint32_t pc;
  bool done;
};
struct TensorCopy : TensorBox {
  std::size_t barrier;
};
struct TensorStore : TensorBox {
  std::uint32_t group;
};

struct AsyncCopy {
  void* shared;
  const void* global;
  bool valid;
  std::uint32_t group;
};

struct alignas(64) Thread {
  // one cache line: what a switch and a warp operation touch
  Stack* stack = nullptr;  // null: not started, or ended
  void* sp = nullptr;
  const char* operation = nullptr;  // what it waits in
  void* argument = nullptr;
  Site site;
  unsigned mask = 0;
  std::uint32_t pc = 0;
  uint3 index{};
  std::uint16_t id = 0;
  // the rest
  std::vector<AsyncCopy> copies;
  std::uint32_t group = 0;        // of cp.async
  std::uint32_t proxy_fence = 0;  // Worker::now at its last fence_proxy_async
  std::uint32_t wgmma_group = 0;
  std::vector<TensorStore> stores;
  std::uint32_t store_group = 0;
};

struct Warp {
  std::uint32_t live = 0, ready = 0, waiting = 0;
};

using Clock = std::array<std::uint32_t, 33>;  // a time for each warp, and for the copy engine

struct NamedBarrier {
  unsigned threads = 0, arrived = 0;
  std::array<std::uint32_t, 32> waiting{};
  Clock clock{};  // what those who wait are ordered after
};

// ---- sm_90: what the layer knows of an mbarrier, of copies under way and of wgmma
// ----------------

struct BarrierState {
  std::uintptr_t address;
  unsigned arrivals, missing;
  std::int64_t bytes;  // still to be copied in this phase
  unsigned phase;
  Clock arrived, completed;  // what arriving orders, and what waiting for the last phase does
};

struct WgmmaOperation {
  std::array<Wgmma, 128> arguments;
  bool done;
  unsigned waited;  // a bit for each warp
  std::uint32_t group, pc;
};

struct Warpgroup {
  unsigned arrived = 0;
  std::vector<WgmmaOperation> operations;
};

// A thread of the operating system that runs blocks, one at a time.
struct Worker {
  // the block
  std::array<Thread, kMaxThreads> threads;
  std::array<Warp, 32> warps;
  std::uint32_t ready_warps = 0;
  unsigned thread_count = 0, live_count = 0;
  Thread* current = nullptr;  // null while no kernel runs
  bool in_layer = false;      // accesses are the layer's own, not the kernel's
  unsigned barrier_arrived = 0;
  const char* barrier_operation = nullptr;
  Site barrier_site;
  int barrier_sum = 0, barrier_result = 0;
  std::array<NamedBarrier, 16> named;
  uint3 block_index{};
  dim3 block_size, grid_size;
  std::uint64_t rng = 1;
  Order order = Order::forward;
  Async async = Async::late;
  unsigned atomics_in_a_row = 0, pauses_in_a_row = 0;
  const Call* call = nullptr;

  std::vector<BarrierState> barriers;
  std::vector<TensorCopy> tensor_copies;
  std::array<Warpgroup, 8> warpgroups;

  // stacks
  std::vector<Stack> stacks;
  std::vector<Stack*> free_stacks;
  std::byte* stack_memory = nullptr;
  void* main_sp = nullptr;

  // shared memory
  std::byte* arena = nullptr;
  std::vector<Region> shared;  // of this block
  std::uint32_t static_used = 0, dynamic_limit = 0;
  std::vector<std::uint32_t> dynamic_regions;  // index into `shared`

  // tracking
  bool tracking = false;
  std::vector<Cell> arena_cells;
  std::uint32_t now = 1, block_start = 1, launch_start = 1, last_fence = 0;
  bool fenced = false;
  std::uint32_t
      seen[33][33]{};  // seen[w][v]: accesses by warp v before this time come before warp w's now
  std::vector<ReadSet> read_sets;
  std::vector<std::uint32_t> block_starts;  // of this launch
  std::vector<uint3> block_indices;

  std::string error;
  Statistics counts{};

  unsigned random(unsigned n) {
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return static_cast<unsigned>((rng >> 32) * n >> 32);
  }
};

extern thread_local constinit Worker* worker;

// Every function that kernels call has one.  Templates of the standard library that the layer uses
// may be linked from a kernel file, where they are instrumented.
class InLayer {
 public:
  InLayer() : before_(std::exchange(worker->in_layer, true)) {}
  ~InLayer() { worker->in_layer = before_; }
  InLayer(const InLayer&) = delete;

 private:
  bool before_;
};

[[noreturn]] void fail(const std::string& what);  // in a kernel's thread; names that thread
[[noreturn]] void fail_with(std::string text);    // the whole text
std::string describe(const Site& site);
std::string describe(uint3 index);
std::string describe_pc(std::uint32_t pc);
std::uint32_t pc_of(const void* address);

// ---- switch.cpp ---------------------------------------------------------------------------------

void* initial_sp(std::byte* top, void (*entry)());  // of a stack on which entry has not started

// ---- scheduler.cpp ------------------------------------------------------------------------------

inline constexpr char kPause[] = "a wait for other threads";

void make_ready(Worker& w, unsigned warp, std::uint32_t lanes);
void suspend(Worker& w, Order order);
void suspend(Worker& w);  // lets others run until something makes the current thread ready
std::string waiting_threads(Worker& w);
[[noreturn]] void deadlock(Worker& w);

// Every warp-wide function is this: the lanes named by `mask` leave their arguments and wait; the
// last to arrive computes all results.
template <class Combine>
void warp_operation(unsigned mask, const char* operation, void* argument, const Site& site,
                    std::uint32_t pc, Combine combine) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  const unsigned warp_index = t.id / 32, lane = t.id % 32;
  Warp& warp = w.warps[warp_index];
  if (!(mask >> lane & 1))
    fail(std::string(operation) + " at " + describe(site) + ": the mask lacks the calling lane");
  if (mask & ~warp.live)
    fail(std::string(operation) + " at " + describe(site) +
         ": the mask names lanes that have ended or do not exist" + waiting_threads(w));
  t.operation = operation;
  t.argument = argument;
  t.mask = mask;
  t.site = site;
  t.pc = pc;
  warp.waiting |= 1u << lane;
  if ((warp.waiting & mask) != mask) {
    suspend(w);
    return;
  }
  Thread* const threads = &w.threads[warp_index * 32];
  for (std::uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) {
    const Thread& other = threads[std::countr_zero(lanes)];
    if (other.mask != mask || other.operation != operation || other.site.line() != site.line() ||
        other.site.column() != site.column())
      fail("divergent warp: " + std::string(operation) + " at " + describe(site) +
           " while thread " + std::to_string(other.id) + " waits in " + other.operation + " at " +
           describe(other.site));
  }
  warp.waiting &= ~mask;
  w.pauses_in_a_row = 0;
  ++w.counts.warp_operations;
  combine(w, threads, mask);
  t.operation = nullptr;
  if (w.order == Order::random) {
    make_ready(w, warp_index, mask);
    suspend(w);
  } else {
    make_ready(w, warp_index, mask & ~(1u << lane));
  }
}

// ---- memory.cpp, tracking.cpp -------------------------------------------------------------------

extern bool kernels_are_instrumented;
enum class Access { read, write, atomic, async_write, async_read };
// Checks an access by `thread` to memory of the device, and records it when tracking.
void access(Worker& w, unsigned thread, const void* address, std::size_t bytes, Access kind,
            std::uint32_t pc);
// The same for the functions of this layer, which check bounds and alignment without tracking too.
void layer_access(Worker& w, unsigned thread, const void* address, std::size_t bytes, Access kind,
                  std::uint32_t pc, bool shared, const char* operation);
void finish_async_write(Worker& w, void* address, std::size_t bytes);
const Region* find_shared(const Worker& w, std::uintptr_t address);
Region* find_device(std::uintptr_t address);  // its redzones included
bool is_constant(std::uintptr_t address);     // in a loaded file, or threadIdx and its like
std::string describe_region(const Region& r, std::uintptr_t address);
std::string describe_shared(const Worker& w, std::uintptr_t address);  // the nearest array
void verify_redzones(Worker& w);       // of the block's shared arrays
std::string verify_device_redzones();  // of all device allocations; empty: intact
void mark_block(Worker& w);            // a new block starts
void order_block(Worker& w);           // __syncthreads
void order_warp(Worker& w, unsigned warp);
void order_grid(Worker& w);  // __threadfence

}  // namespace fathom::gpu::host
