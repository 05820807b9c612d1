// Barriers of a block, and waiting for other threads.
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

void named_barrier(int id, int threads, host::Site site) {
  const host::InLayer in_layer;
  using namespace host;
  Worker& w = *worker;
  Thread& t = *w.current;
  if (id < 1 || id > 15) fail("named barriers are 1 to 15");
  if (threads <= 0 || threads % 32 != 0) fail("a named barrier takes a multiple of 32 threads");
  NamedBarrier& b = w.named[static_cast<unsigned>(id)];
  if (b.arrived == 0) b.threads = static_cast<unsigned>(threads);
  if (b.threads != static_cast<unsigned>(threads))
    fail("threads disagree on the size of a named barrier at " + describe(site));
  b.waiting[t.id / 32] |= 1u << (t.id % 32);
  t.operation = "named_barrier";
  t.site = site;
  if (++b.arrived < b.threads) {
    suspend(w);
    return;
  }
  std::uint32_t warps = 0;
  for (unsigned warp = 0; warp < 32; ++warp) {
    if (b.waiting[warp] == 0) continue;
    warps |= 1u << warp;
    make_ready(w, warp, b.waiting[warp]);
  }
  b = {};
  ++w.counts.barriers;
  order_warps(w, warps);
  suspend(w);
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
