// mbarrier, the tensor copy engine and wgmma.
//
// A copy or a wgmma takes place either when it is issued or as late as it may: a copy when a thread
// waits for its barrier, a wgmma when its warpgroup waits.  Options::async chooses.
#include "tests/kernel_host/internal.h"

namespace fathom::gpu {

using namespace host;

namespace {

void join(Clock& a, const Clock& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = std::max(a[i], b[i]);
}

void complete_if_done(Worker& w, BarrierState& b) {
  if (b.missing != 0 || b.bytes != 0) return;
  b.missing = b.arrivals;
  b.phase ^= 1;
  b.completed = b.arrived;
  w.pauses_in_a_row = 0;
}

BarrierState& state_of(Worker& w, const Barrier* barrier, std::uint64_t state,
                       const char* operation, Site site) {
  if (w.tracking)
    access(w, w.current->id, barrier, sizeof *barrier, Access::read,
           pc_of(__builtin_return_address(0)));
  if (state == 0 || state > w.barriers.size() ||
      w.barriers[state - 1].address != reinterpret_cast<std::uintptr_t>(barrier))
    fail(std::string(operation) + " at " + describe(site) + ": the barrier is not initialised");
  return w.barriers[state - 1];
}

void perform(Worker& w, TensorCopy& copy) {
  const auto* matrix = static_cast<const std::byte*>(copy.map.matrix);
  for (std::uint32_t r = 0; r < copy.map.box_rows; ++r)
    for (std::uint32_t chunk = 0; chunk < 8; ++chunk) {  // of 16 bytes: 8 elements
      std::byte* to = copy.shared + r * 128 + (chunk ^ (r & 7)) * 16;
      for (std::uint32_t e = 0; e < 8; ++e) {
        const std::int64_t row = copy.row + static_cast<std::int64_t>(r);
        const std::int64_t column = copy.column + static_cast<std::int64_t>(chunk * 8 + e);
        const bool inside = row >= 0 && row < static_cast<std::int64_t>(copy.map.rows) &&
                            column >= 0 && column < static_cast<std::int64_t>(copy.map.columns);
        if (inside)
          std::memcpy(to + 2 * e,
                      matrix + (static_cast<std::uint64_t>(row) * copy.map.columns +
                                static_cast<std::uint64_t>(column)) *
                                   2,
                      2);
        else
          std::memset(to + 2 * e, 0, 2);
      }
    }
  const std::uint32_t bytes = copy.map.box_rows * 128;
  finish_async_write(w, copy.shared, bytes);
  copy.done = true;
  BarrierState& b = w.barriers[copy.barrier];
  b.arrived[32] = ++w.now;
  b.bytes -= bytes;
  complete_if_done(w, b);
}

}  // namespace

void Barrier::init(unsigned arrivals, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  if (find_shared(w, reinterpret_cast<std::uintptr_t>(this)) == nullptr)
    fail("Barrier::init at " + describe(site) + ": the barrier is not in shared memory");
  if (w.tracking)
    access(w, w.current->id, this, sizeof *this, Access::write, pc_of(__builtin_return_address(0)));
  w.barriers.push_back({reinterpret_cast<std::uintptr_t>(this), arrivals, arrivals, 0, 0, {}, {}});
  state_ = w.barriers.size();
}

void Barrier::arrive_expect(unsigned bytes, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  BarrierState& b = state_of(w, this, state_, "arrive", site);
  const unsigned warp = w.current->id / 32;
  if (b.missing == 0)
    fail("arrive at " + describe(site) + ": more threads arrive than the barrier expects");
  for (std::size_t i = 0; i < b.arrived.size(); ++i)
    b.arrived[i] = std::max(b.arrived[i], w.seen[warp][i]);
  b.arrived[warp] = ++w.now;
  b.bytes += bytes;
  --b.missing;
  complete_if_done(w, b);
}

void Barrier::wait(unsigned parity, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  for (;;) {
    BarrierState& b = state_of(w, this, state_, "wait", site);
    if (b.phase != (parity & 1)) break;
    // A copy that this phase waits for may happen now; otherwise other threads must come first.
    bool copied = false;
    for (TensorCopy& copy : w.tensor_copies)
      if (!copy.done && w.barriers[copy.barrier].address == b.address) {
        perform(w, copy);
        copied = true;
        break;
      }
    if (!copied) pause(site);
  }
  const unsigned warp = w.current->id / 32;
  Clock seen;
  std::copy_n(w.seen[warp], seen.size(), seen.begin());
  join(seen, w.barriers[state_ - 1].completed);
  std::copy(seen.begin(), seen.end(), w.seen[warp]);
}

void fence_proxy_async() { worker->current->proxy_fence = ++worker->now; }

__attribute__((noinline)) void tensor_load(void* shared, const TensorMap& map, Barrier& barrier,
                                           int column, int row, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  const std::uint32_t pc = pc_of(__builtin_return_address(0)), bytes = map.box_rows * 128;
  state_of(w, &barrier, barrier.state_, "tensor_load", site);
  if (shared_address(shared) % 1024 != 0)
    fail("tensor_load at " + describe(site) + ": the tile is not at a multiple of 1024 bytes");
  layer_access(w, w.current->id, shared, bytes, Access::async_write, pc, true, "tensor_load");
  if (w.tracking) {
    std::copy_n(w.seen[w.current->id / 32], 33, w.seen[32]);  // it is ordered as its thread is
    access(w, kAsyncThread, shared, bytes, Access::async_write, pc);
  }
  std::erase_if(w.tensor_copies, [](const TensorCopy& copy) { return copy.done; });
  w.tensor_copies.push_back({map, static_cast<std::byte*>(shared),
                             static_cast<std::size_t>(barrier.state_ - 1), column, row, false});
  if (w.async == Async::early) perform(w, w.tensor_copies.back());
}

// ---- wgmma --------------------------------------------------------------------------------------

namespace {

// Visits a 64 x 16 operand through its descriptor: k-major, swizzled by 128 bytes.
template <class Visit>
void walk_operand(Worker& w, std::uint64_t descriptor, Visit visit) {
  const auto start = static_cast<std::uint32_t>(descriptor & 0x3fff) << 4;
  const auto stride = static_cast<std::uint32_t>(descriptor >> 32 & 0x3fff) << 4;
  for (int r = 0; r < 64; ++r)
    for (std::uint32_t chunk = 0; chunk < 2; ++chunk) {
      std::uint32_t address = start + static_cast<std::uint32_t>(r / 8) * stride +
                              static_cast<std::uint32_t>(r % 8) * 128 + chunk * 16;
      address ^= (address >> 7 & 7) << 4;
      const std::byte* from = w.arena + address;
      visit(from, r, static_cast<int>(chunk) * 8);
    }
}

// A warp has waited for the operation: its reads are over only now.
void track_reads(Worker& w, unsigned warp, const WgmmaOperation& op) {
  for (const std::uint64_t descriptor : {op.a, op.b})
    walk_operand(w, descriptor, [&](const std::byte* from, int, int) {
      access(w, warp * 32, from, 16, Access::async_read, op.pc);
    });
}

void read_operand(Worker& w, unsigned group, std::uint64_t descriptor, float (&out)[64][16],
                  std::uint32_t pc) {
  walk_operand(w, descriptor, [&](const std::byte* from, int row, int k) {
    layer_access(w, group * 128, from, 16, Access::async_read, pc, true, "wgmma");
    for (int e = 0; e < 8; ++e) {
      std::uint16_t bits;
      std::memcpy(&bits, from + 2 * e, 2);
      out[row][k + e] = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
    }
  });
}

// Thread 32*w + 4*g + t of the warpgroup holds rows 16*w + g + 8*i, columns 8*j + 2*t + h in c[4*j
// + 2*i + h].
void perform(Worker& w, unsigned group, WgmmaOperation& op) {
  static thread_local float A[64][16], B[64][16], sum[64][64], Bt[16][64];
  read_operand(w, group, op.a, A, op.pc);
  read_operand(w, group, op.b, B, op.pc);
  for (int n = 0; n < 64; ++n)
    for (int k = 0; k < 16; ++k) Bt[k][n] = B[n][k];
  std::memset(sum, 0, sizeof sum);
  for (int m = 0; m < 64; ++m)
    for (int k = 0; k < 16; ++k)
      for (int n = 0; n < 64; ++n) sum[m][n] += A[m][k] * Bt[k][n];
  for (int thread = 0; thread < 128; ++thread)
    for (int i = 0; i < 32; ++i) {
      float& c = op.c[static_cast<std::size_t>(thread)][i];
      const float v = sum[thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8]
                         [i / 4 * 8 + thread % 4 * 2 + i % 2];
      c = op.accumulate ? c + v : v;
    }
  op.done = true;
  ++w.counts.mma;
}

}  // namespace

__attribute__((noinline)) void wgmma_m64n64k16_bf16(float (&c)[32], std::uint64_t a,
                                                    std::uint64_t b, bool accumulate, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  const unsigned first = t.id / 128 * 128;
  Warpgroup& g = w.warpgroups[t.id / 128];
  static constexpr char kName[] = "wgmma";
  if (first + 128 > w.thread_count)
    fail("wgmma at " + describe(site) + ": the warpgroup is not full");
  struct Argument {
    float* c;
    std::uint64_t a, b;
    bool accumulate;
  } own{c, a, b, accumulate};
  t.operation = kName;
  t.argument = &own;
  t.site = site;
  if (++g.arrived < 128) {
    suspend(w);
    return;
  }
  g.arrived = 0;
  WgmmaOperation op{
      {}, a, b, accumulate, false, 0, t.wgmma_group, pc_of(__builtin_return_address(0))};
  for (unsigned i = 0; i < 128; ++i) {
    const Thread& other = w.threads[first + i];
    if (other.operation != kName || other.site.line() != site.line() ||
        other.site.column() != site.column() || other.wgmma_group != t.wgmma_group)
      fail("divergent warpgroup: wgmma at " + describe(site) + " while thread " +
           std::to_string(other.id) + " does not issue it");
    const auto& argument = *static_cast<const Argument*>(other.argument);
    if (argument.a != a || argument.b != b || argument.accumulate != accumulate)
      fail("wgmma at " + describe(site) + ": thread " + std::to_string(other.id) +
           " has another descriptor or flag");
    op.c[i] = argument.c;
  }
  g.operations.push_back(op);
  if (w.async == Async::early) perform(w, t.id / 128, g.operations.back());
  for (unsigned warp = 0; warp < 4; ++warp)
    make_ready(w, first / 32 + warp, warp == t.id % 128 / 32 ? ~(1u << (t.id % 32)) : ~0u);
  t.operation = nullptr;
}

void wgmma_commit() { ++worker->current->wgmma_group; }

void wgmma_wait_pending(int pending, Site site) {
  const InLayer in_layer;
  warp_operation(
      ~0u, "wgmma_wait", nullptr, site, 0, [&](Worker& w, Thread* threads, std::uint32_t) {
        const unsigned warp = threads[0].id / 32, group = warp / 4;
        std::vector<WgmmaOperation>& operations = w.warpgroups[group].operations;
        for (WgmmaOperation& op : operations) {
          if (op.group + static_cast<std::uint32_t>(pending) >= threads[0].wgmma_group ||
              op.waited >> warp % 4 & 1)
            continue;
          if (!op.done) perform(w, group, op);
          if (w.tracking) track_reads(w, warp, op);
          op.waited |= 1u << warp % 4;
        }
        std::erase_if(operations, [](const WgmmaOperation& op) { return op.waited == 15; });
      });
}

}  // namespace fathom::gpu
