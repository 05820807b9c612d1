// mbarrier, the tensor copy engine and wgmma.
//
// A copy or a wgmma takes place either when it is issued or as late as it may: a copy when a thread
// waits for its barrier, a wgmma when its warpgroup waits.  Options::async chooses.
#include <algorithm>

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

// Visits the 16-byte chunks of a box: where they are in shared memory, and how many of their eight
// elements lie within the array, from `in_array` on. Columns before the first are not supported.
template <class Visit>
void walk_box(const TensorBox& box, Visit visit) {
  const TensorMap& map = box.map;
  for (std::uint32_t r = 0; r < map.box_rows; ++r) {
    const std::array<std::int64_t, 4> at = {box.at[0], box.at[1] + std::int64_t{r}, box.at[2],
                                            box.at[3]};
    bool inside = true;
    std::int64_t offset = at[0];
    for (std::size_t i = 1; i < 4; ++i) {
      inside &= at[i] >= 0 && at[i] < static_cast<std::int64_t>(map.extents[i]);
      offset += at[i] * static_cast<std::int64_t>(map.strides[i - 1]);
    }
    for (std::uint32_t chunk = 0; chunk < 8; ++chunk) {
      const std::int64_t column = at[0] + 8 * std::int64_t{chunk};
      const auto left = static_cast<std::int64_t>(map.extents[0]) - column;
      const std::int64_t count = inside ? std::clamp<std::int64_t>(left, 0, 8) : 0;
      visit(box.shared + r * 128 + (chunk ^ (r & 7)) * 16,
            static_cast<std::byte*>(map.array) + 2 * (offset + 8 * std::int64_t{chunk}),
            static_cast<std::size_t>(2 * count));
    }
  }
}

void check_box(Worker& w, const TensorBox& box, Access kind, const char* operation, Site site) {
  if (shared_address(box.shared) % 1024 != 0)
    fail(std::string(operation) + " at " + describe(site) +
         ": the tile is not at a multiple of 1024 bytes");
  if (box.at[0] < 0 || box.at[0] % 8 != 0)
    fail(std::string(operation) + " at " + describe(site) + ": columns start at multiples of 8");
  layer_access(w, w.current->id, box.shared, box.map.box_rows * 128, kind, box.pc, true, operation);
}

void perform(Worker& w, TensorCopy& copy) {
  walk_box(copy, [&](std::byte* shared, const std::byte* in_array, std::size_t bytes) {
    if (bytes != 0 && w.tracking) access(w, copy.thread, in_array, bytes, Access::read, copy.pc);
    std::memcpy(shared, in_array, bytes);
    std::memset(shared + bytes, 0, 16 - bytes);
  });
  const std::uint32_t bytes = copy.map.box_rows * 128;
  finish_async_write(w, copy.shared, bytes);
  copy.done = true;
  BarrierState& b = w.barriers[copy.barrier];
  b.arrived[32] = ++w.now;
  b.bytes -= bytes;
  complete_if_done(w, b);
}

void perform(Worker& w, TensorStore& store) {
  walk_box(store, [&](const std::byte* shared, std::byte* in_array, std::size_t bytes) {
    if (bytes != 0 && w.tracking) access(w, store.thread, in_array, bytes, Access::write, store.pc);
    std::memcpy(in_array, shared, bytes);
  });
  store.done = true;
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
                                           int column, int row, int third, int fourth, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  const std::uint32_t pc = pc_of(__builtin_return_address(0)), bytes = map.box_rows * 128;
  state_of(w, &barrier, barrier.state_, "tensor_load", site);
  const TensorBox box{
      map, static_cast<std::byte*>(shared), {column, row, third, fourth}, w.current->id, pc, false};
  check_box(w, box, Access::async_write, "tensor_load", site);
  if (w.tracking) {
    std::copy_n(w.seen[w.current->id / 32], 33, w.seen[32]);  // it is ordered as its thread is
    access(w, kAsyncThread, shared, bytes, Access::async_write, pc);
  }
  std::erase_if(w.tensor_copies, [](const TensorCopy& copy) { return copy.done; });
  w.tensor_copies.push_back({box, static_cast<std::size_t>(barrier.state_ - 1)});
  if (w.async == Async::early) perform(w, w.tensor_copies.back());
}

__attribute__((noinline)) void tensor_store(const TensorMap& map, const void* shared, int column,
                                            int row, int third, int fourth, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  const std::uint32_t pc = pc_of(__builtin_return_address(0));
  auto* bytes = static_cast<std::byte*>(const_cast<void*>(shared));
  TensorStore store{{map, bytes, {column, row, third, fourth}, t.id, pc, false}, t.store_group};
  check_box(w, store, Access::async_read, "tensor_store", site);
  if (w.tracking) access(w, t.id, shared, map.box_rows * 128, Access::async_read, pc);
  t.stores.push_back(store);
  if (w.async == Async::early) perform(w, t.stores.back());
}

void tensor_store_commit() { ++worker->current->store_group; }

void tensor_store_wait_pending(int pending) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  std::erase_if(t.stores, [&](TensorStore& store) {
    if (store.group + static_cast<std::uint32_t>(pending) >= t.store_group) return false;
    if (!store.done) perform(w, store);
    if (w.tracking)  // its reads are over only now
      access(w, t.id, store.shared, store.map.box_rows * 128, Access::async_read, store.pc);
    return true;
  });
}

// ---- wgmma --------------------------------------------------------------------------------------

namespace {

// Visits the 16-byte chunks of an operand of 16 elements along k through its descriptor, swizzled
// by 128 bytes: `rows` rows of 2 chunks when they lie along k, 16 rows of 8 chunks otherwise.
template <class Visit>
void walk_operand(Worker& w, std::uint64_t descriptor, int rows, std::uint32_t chunks,
                  Visit visit) {
  const auto start = static_cast<std::uint32_t>(descriptor & 0x3fff) << 4;
  const auto stride = static_cast<std::uint32_t>(descriptor >> 32 & 0x3fff) << 4;
  for (int r = 0; r < rows; ++r)
    for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
      std::uint32_t address = start + static_cast<std::uint32_t>(r / 8) * stride +
                              static_cast<std::uint32_t>(r % 8) * 128 + chunk * 16;
      address ^= (address >> 7 & 7) << 4;
      const std::byte* from = w.arena + address;
      visit(from, r, static_cast<int>(chunk) * 8);
    }
}

template <class Visit>
void walk_a(Worker& w, const Wgmma& op, Visit visit) {
  if (op.a_registers == nullptr) walk_operand(w, op.a, 64, 2, visit);
}
template <class Visit>
void walk_b(Worker& w, const Wgmma& op, Visit visit) {
  const bool along_k = op.a_registers == nullptr;
  walk_operand(w, op.b, along_k ? op.columns : 16, along_k ? 2 : 8, visit);
}

void track_reads(Worker& w, unsigned thread, const WgmmaOperation& op) {
  const auto read = [&](const std::byte* from, int, int) {
    access(w, thread, from, 16, Access::async_read, op.pc);
  };
  walk_a(w, op.arguments[0], read);
  walk_b(w, op.arguments[0], read);
}

float widen(std::uint16_t bits, bool bfloat) {
  if (bfloat) return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  __half_raw raw;
  raw.x = bits;
  return __half2float(__half(raw));
}

// Thread 32*w + 4*g + t of the warpgroup holds rows 16*w + g + 8*i, columns 8*j + 2*t + h in c[4*j
// + 2*i + h].
void perform(Worker& w, unsigned group, WgmmaOperation& op) {
  static thread_local float A[64][16], B[16][128], sum[64][128];
  const Wgmma& first = op.arguments[0];
  const int columns = first.columns;
  const auto chunk_of = [&](const std::byte* from, float(&values)[8]) {
    layer_access(w, group * 128, from, 16, Access::async_read, op.pc, true, "wgmma");
    for (int e = 0; e < 8; ++e) {
      std::uint16_t bits;
      std::memcpy(&bits, from + 2 * e, 2);
      values[e] = widen(bits, first.bfloat);
    }
  };
  float values[8];
  walk_a(w, first, [&](const std::byte* from, int row, int k) {
    chunk_of(from, values);
    std::copy_n(values, 8, &A[row][k]);
  });
  walk_b(w, first, [&](const std::byte* from, int row, int column) {
    chunk_of(from, values);
    for (int e = 0; e < 8; ++e)
      (first.a_registers ? B[row][column + e] : B[column + e][row]) = values[e];
  });
  if (first.a_registers != nullptr)
    for (int thread = 0; thread < 128; ++thread)
      for (int i = 0; i < 8; ++i) {
        const std::uint32_t pair =
            op.arguments[static_cast<std::size_t>(thread)].a_registers[i / 2];
        A[thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8][thread % 4 * 2 + i / 4 * 8 + i % 2] =
            widen(static_cast<std::uint16_t>(pair >> (i % 2 * 16)), first.bfloat);
      }
  for (int m = 0; m < 64; ++m) {
    std::fill_n(sum[m], columns, 0.0f);
    for (int k = 0; k < 16; ++k)
      for (int n = 0; n < columns; ++n) sum[m][n] += A[m][k] * B[k][n];
  }
  for (int thread = 0; thread < 128; ++thread)
    for (int i = 0; i < columns / 2; ++i) {
      float& c = op.arguments[static_cast<std::size_t>(thread)].c[i];
      const float v = sum[thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8]
                         [i / 4 * 8 + thread % 4 * 2 + i % 2];
      c = first.accumulate ? c + v : v;
    }
  op.done = true;
  ++w.counts.mma;
}

}  // namespace

__attribute__((noinline)) void host::wgmma(const Wgmma& arguments, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  const unsigned first = t.id / 128 * 128;
  Warpgroup& g = w.warpgroups[t.id / 128];
  static constexpr char kName[] = "wgmma";
  if (first + 128 > w.thread_count)
    fail("wgmma at " + describe(site) + ": the warpgroup is not full");
  Wgmma own = arguments;
  t.operation = kName;
  t.argument = &own;
  t.site = site;
  if (++g.arrived < 128) {
    suspend(w);
    return;
  }
  g.arrived = 0;
  WgmmaOperation op{{}, false, 0, t.wgmma_group, pc_of(__builtin_return_address(0))};
  for (unsigned i = 0; i < 128; ++i) {
    const Thread& other = w.threads[first + i];
    if (other.operation != kName || other.site.line() != site.line() ||
        other.site.column() != site.column() || other.wgmma_group != t.wgmma_group)
      fail("divergent warpgroup: wgmma at " + describe(site) + " while thread " +
           std::to_string(other.id) + " does not issue it");
    op.arguments[i] = *static_cast<const Wgmma*>(other.argument);
    if (op.arguments[i].a != own.a || op.arguments[i].b != own.b ||
        op.arguments[i].accumulate != own.accumulate)
      fail("wgmma at " + describe(site) + ": thread " + std::to_string(other.id) +
           " has another descriptor or flag");
  }
  if (w.tracking) track_reads(w, t.id, op);  // what it reads must be there
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
          if (w.tracking) track_reads(w, warp * 32, op);  // its reads are over only now
          op.waited |= 1u << warp % 4;
        }
        std::erase_if(operations, [](const WgmmaOperation& op) { return op.waited == 15; });
      });
}

}  // namespace fathom::gpu
