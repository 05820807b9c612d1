// core/gpu.h under a host compiler: the CUDA execution model on the CPU.
//
// Each thread of a block is a fiber; a block runs on one operating-system thread and its fibers are
// switched only inside the functions declared here, so an order of execution is a function of the
// seed.  The engine behind them is tests/kernel_host; no product links it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <source_location>
#include <string>
#include <tuple>
#include <vector>

#include "core/error.h"

#undef __shared__
#define __shared__ \
  static_assert(false, "declare shared memory with GPU_SHARED or gpu::DynamicShared")
#define __launch_bounds__(...)

// Code of this layer that is compiled into kernel files: not to be instrumented as kernel code.
#define FATHOM_GPU_LAYER __attribute__((no_sanitize("thread", "undefined")))

// These are ordinary variables here; the scheduler sets them at every switch.
extern constinit thread_local uint3 threadIdx;
extern constinit thread_local uint3 blockIdx;
extern constinit thread_local dim3 blockDim;
extern constinit thread_local dim3 gridDim;
inline constexpr int warpSize = 32;

namespace fathom::gpu {

using Stream = struct CUstream_st*;

/// What launch throws when a kernel broke a rule; what() says which, where and by which thread.
class KernelError : public Error {
 public:
  using Error::Error;
};

namespace host {

using Site = std::source_location;

enum class Order { forward, reverse, random };
enum class Async { late, early, random };  // when an asynchronous copy takes place

struct Options {
  int workers = 0;  // operating-system threads that run blocks; 0: one per core
  Order order = Order::forward;
  Async async = Async::late;
  std::uint64_t seed = 1;
};
Options& options();

bool checked();  // whether kernels are instrumented, so that their memory accesses are checked

struct Statistics {  // of all launches since reset_statistics()
  std::uint64_t launches, blocks, threads, switches, barriers, warp_operations, mma;
  std::uint64_t ldmatrix, ldmatrix_bank_conflicts;
};
Statistics statistics();
void reset_statistics();

// The schedules that a test runs under: forward with copies as late as allowed, reverse with copies
// as early as possible, and random ones; FATHOM_GPU_SCHEDULES sets how many of those. A schedule
// named by FATHOM_GPU_ORDER, FATHOM_GPU_ASYNC or FATHOM_GPU_SEED is the only one.
std::vector<Options> schedules(int random_seeds);
std::string schedule();  // the current one in words, and how to repeat it

// Runs `body` under several schedules: a test of a kernel is written inside one of these.
template <class Body>
void under_schedules(int random_seeds, Body body) {
  const Options saved = options();
  struct Restore {
    const Options& saved;
    ~Restore() { options() = saved; }
  } restore{saved};
  for (const Options& chosen : schedules(random_seeds)) {
    options() = chosen;
    body();
  }
}

// ---- memory of the device: tests and the engine's allocator get theirs here ---------------------

// `granule` is the size of an element (1, 2 or 4 and more): the unit in which races are tracked; 0
// for memory that is not tracked, only bounded.
void* allocate(std::size_t bytes, std::size_t granule);
void release(void* pointer);
void copy_in(void* device, const void* host, std::size_t bytes);
void copy_out(void* host, const void* device, std::size_t bytes);

// ---- launch -------------------------------------------------------------------------------------

struct Grid : dim3 {  // a dim3 that remembers which line launched
  Grid(unsigned x, unsigned y = 1, unsigned z = 1, Site site = Site::current())
      : dim3(x, y, z), site(site) {}
  Grid(dim3 size, Site site = Site::current()) : dim3(size), site(site) {}
  Site site;
};

struct Call {
  void (*invoke)(const Call&);
  std::size_t bytes;  // of the object derived from this one
};
void run(const Grid& grid, dim3 block, std::size_t shared_bytes, const Call& call);

// ---- the functions below are called by kernels --------------------------------------------------

struct SharedArray {
  const char* name;
  std::uint32_t bytes, align, granule;
  Site site;
};
void* shared_array(const SharedArray& array);
void* take_dynamic(std::uint32_t index, std::uint32_t offset, std::uint32_t bytes,
                   std::uint32_t align, std::uint32_t granule, Site site);

template <class T>
inline constexpr std::uint32_t granule_of =
    std::is_class_v<std::remove_all_extents_t<T>> &&
            !std::is_same_v<std::remove_all_extents_t<T>, float2> &&
            !std::is_same_v<std::remove_all_extents_t<T>, float4> &&
            !std::is_same_v<std::remove_all_extents_t<T>, uint4> &&
            !std::is_same_v<std::remove_all_extents_t<T>, __nv_bfloat16> &&
            !std::is_same_v<std::remove_all_extents_t<T>, __half>
        ? 1
        : (sizeof(std::remove_all_extents_t<T>) < 4 ? sizeof(std::remove_all_extents_t<T>) : 4);

enum class Shuffle : std::uint8_t { index, up, down, exclusive_or };
enum class Vote : std::uint8_t { all, any, ballot, match_any };
enum class Reduce : std::uint8_t {
  add,
  min_signed,
  min_unsigned,
  max_signed,
  max_unsigned,
  and_,
  or_,
  xor_
};
enum class BlockVote : std::uint8_t { none, count, all, any };

int sync_threads(BlockVote vote, int predicate, Site site);
void sync_warp(unsigned mask, Site site);
void shuffle(Shuffle kind, unsigned mask, void* value, unsigned bytes, unsigned argument, int width,
             Site site);
unsigned vote(Vote kind, unsigned mask, std::uint64_t value, Site site);
unsigned reduce(Reduce kind, unsigned mask, unsigned value, Site site);
unsigned active_mask();
void fence();  // __threadfence
void before_atomic(const void* address, std::size_t bytes, Site site, const void* pc);
void pause(Site site);  // lets the other threads run
[[noreturn]] void trap(const char* why, Site site);

template <class T, class F>
FATHOM_GPU_LAYER inline T atomic_update(T* address, Site site, const void* pc, F next) {
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  before_atomic(address, sizeof(T), site, pc);
  auto* bits = reinterpret_cast<Bits*>(address);
  Bits old_bits = __atomic_load_n(bits, __ATOMIC_RELAXED);
  for (;;) {
    T old;
    std::memcpy(&old, &old_bits, sizeof(T));
    const T wanted = next(old);
    Bits new_bits;
    std::memcpy(&new_bits, &wanted, sizeof(T));
    if (__atomic_compare_exchange_n(bits, &old_bits, new_bits, true, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
      return old;
  }
}

}  // namespace host

using host::allocate;
using host::copy_in;
using host::copy_out;
using host::release;
using host::schedule;
using host::under_schedules;

template <class... P>
void launch(void (*kernel)(P...), host::Grid grid, dim3 block, std::size_t shared_bytes, Stream,
            std::type_identity_t<P>... args) {
  struct Bound : host::Call {
    void (*kernel)(P...);
    std::tuple<P...> args;
  };
  const Bound bound{{[](const host::Call& call) {
                       const auto& self = static_cast<const Bound&>(call);
                       std::apply(self.kernel, self.args);
                     },
                     sizeof(Bound)},
                    kernel,
                    {args...}};
  host::run(grid, block, shared_bytes, bound);
}

inline int multiprocessors() { return 2; }  // few: persistent kernels go round more than once

class DynamicShared {
 public:
  template <class T>
  T* take(std::uint32_t count, std::uint32_t align = 16, host::Site site = host::Site::current()) {
    used_ = (used_ + align - 1) / align * align;
    const auto bytes = count * static_cast<std::uint32_t>(sizeof(T));
    void* array = host::take_dynamic(taken_++, used_, bytes, align, host::granule_of<T>, site);
    used_ += bytes;
    return static_cast<T*>(array);
  }

 private:
  std::uint32_t used_ = 0;
  std::uint32_t taken_ = 0;
};

std::uint32_t shared_address(const void* pointer);

void cp_async16(void* shared, const void* global, bool valid = true,
                host::Site site = host::Site::current());
void cp_async_commit();
void cp_async_wait_pending(int pending);
template <int Pending>
inline void cp_async_wait() {
  cp_async_wait_pending(Pending);
}

void ldmatrix_x4(std::uint32_t (&r)[4], const void* row, host::Site site = host::Site::current());
void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row,
                       host::Site site = host::Site::current());

namespace host {
void mma(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], bool bfloat,
         Site site);
}
template <class T>
inline void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                         host::Site site = host::Site::current()) {
  static_assert(std::is_same_v<T, __nv_bfloat16> || std::is_same_v<T, __half>);
  host::mma(c, a, b, std::is_same_v<T, __nv_bfloat16>, site);
}

inline float exp2_approximate(float x) { return std::exp2(x); }

void named_barrier(int id, int threads, host::Site site = host::Site::current());
void named_barrier_arrive(int id, int threads, host::Site site = host::Site::current());

}  // namespace fathom::gpu

#include "core/gpu/host_cuda.h"
