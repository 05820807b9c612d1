// Barriers of a block, and waiting for other threads.
#include <algorithm>
#include <bit>

#include "tests/kernel_host/internal.h"

namespace fathom::gpu::host {

int sync_threads(BlockVote vote, int predicate, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  if (w.live_count != w.thread_count)
    fail("divergent barrier: __syncthreads at " + describe(site) +
         " after some threads have ended" + waiting_threads(w));
  t.operation = "__syncthreads";
  t.site = site;
  if (w.barrier_arrived == 0) {
    w.barrier_site = site;
    w.barrier_sum = 0;
  } else if (site.line() != w.barrier_site.line() || site.column() != w.barrier_site.column()) {
    fail("divergent barrier: __syncthreads at " + describe(site) +
         " while others wait in the one at " + describe(w.barrier_site) + waiting_threads(w));
  }
  w.barrier_sum += predicate != 0;
  if (++w.barrier_arrived < w.live_count) {
    suspend(w);
  } else {
    w.barrier_arrived = 0;
    const int sum = w.barrier_sum;
    w.barrier_result = vote == BlockVote::count ? sum
                       : vote == BlockVote::all ? sum == static_cast<int>(w.live_count)
                                                : sum != 0;
    ++w.counts.barriers;
    w.pauses_in_a_row = 0;
    order_block(w);
    const std::uint32_t self = 1u << (t.id % 32);
    for (unsigned warp = 0; warp * 32 < w.thread_count; ++warp) {
      std::uint32_t lanes = w.warps[warp].live;
      if (warp == t.id / 32 && w.order != Order::random) lanes &= ~self;
      make_ready(w, warp, lanes);
    }
    t.operation = nullptr;
    if (w.order == Order::random) suspend(w);
  }
  return w.barrier_result;
}

}  // namespace fathom::gpu::host

namespace fathom::gpu {

using namespace host;

// Counts so many threads of the current one's warp; whether they were the last, for which those who
// wait have been made ready.
static bool arrive_at(int id, int threads, unsigned count, Site site) {
  Worker& w = *worker;
  if (id < 1 || id > 15) fail("named barriers are 1 to 15");
  if (threads <= 0 || threads % 32 != 0) fail("a named barrier takes a multiple of 32 threads");
  NamedBarrier& b = w.named[static_cast<unsigned>(id)];
  if (b.arrived == 0) b.threads = static_cast<unsigned>(threads);
  if (b.threads != static_cast<unsigned>(threads))
    fail("threads disagree on the size of a named barrier at " + describe(site));
  const unsigned own = w.current->id / 32;
  for (std::size_t i = 0; i < b.clock.size(); ++i)
    b.clock[i] = std::max(b.clock[i], w.seen[own][i]);
  b.clock[own] = ++w.now;
  b.arrived += count;
  if (b.arrived < b.threads) return false;
  for (unsigned warp = 0; warp < 32; ++warp) {
    if (b.waiting[warp] == 0) continue;
    make_ready(w, warp, b.waiting[warp]);
    std::copy(b.clock.begin(), b.clock.end(), w.seen[warp]);
  }
  b = {};
  ++w.counts.barriers;
  w.pauses_in_a_row = 0;
  return true;
}

void named_barrier(int id, int threads, host::Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  t.operation = "named_barrier";
  t.site = site;
  if (id >= 1 && id <= 15)
    w.named[static_cast<unsigned>(id)].waiting[t.id / 32] |= 1u << (t.id % 32);
  arrive_at(id, threads, 1, site);
  suspend(w);
}

// A warp arrives as one: what a lane does after it is not ordered before the arrival of another.
void named_barrier_arrive(int id, int threads, host::Site site) {
  const std::uint32_t live = worker->warps[worker->current->id / 32].live;
  warp_operation(live, "named_barrier_arrive", nullptr, site, 0,
                 [&](Worker&, Thread*, std::uint32_t lanes) {
                   arrive_at(id, threads, unsigned(std::popcount(lanes)), site);
                 });
}

}  // namespace fathom::gpu

namespace fathom::gpu::host {

void pause(Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  t.operation = kPause;
  t.site = site;
  if (++w.pauses_in_a_row > 64 * w.live_count + 100000) deadlock(w);
  make_ready(w, t.id / 32, 1u << (t.id % 32));
  suspend(w, Order::random);  // in the other orders it could keep those it waits for from running
}

void fence() { order_grid(*worker); }

void before_atomic(const void* address, std::size_t bytes, Site site, const void* pc) {
  const InLayer in_layer;
  Worker& w = *worker;
  if (w.tracking) access(w, w.current->id, address, bytes, Access::atomic, pc_of(pc));
  if (++w.atomics_in_a_row > 1000) pause(site);  // it may be spinning on a lock
}

}  // namespace fathom::gpu::host
