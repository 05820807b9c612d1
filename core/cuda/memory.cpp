#include "core/cuda/memory.h"

#include <algorithm>
#include <list>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>
#include <vector>

#include "core/cuda.h"
#include "core/cuda/stream.h"
#include "core/free_list.h"

namespace fathom::cuda {
namespace {

constexpr int64_t kMiB = int64_t(1) << 20;
constexpr int64_t kAlignment = 512;  // of blocks: vectors, tensor maps and products want 256
constexpr int64_t kSmall = kMiB;     // up to here blocks share segments of their own,
constexpr int64_t kSmallSegment = 2 * kMiB;  // so that long-lived small tensors pin no large ones
constexpr int64_t kLargeSegment = 20 * kMiB;
constexpr int64_t kOwnSegment = 10 * kMiB;  // from here on a block that fits nowhere is a segment

struct Block {
  int64_t asked = 0, held = 0;
  Pool* pool = nullptr;  // null: memory of its own from the driver
  int device = 0;
  std::vector<CudaStream> users;  // other streams
};

}  // namespace

// What one stream, or one captured step, has from the driver.
struct Pool {
  int device = 0;
  FreeList small, large;
  std::map<std::byte*, int64_t> segments;
  int64_t live = 0;        // blocks in use
  bool kept = false;       // of a captured step: it uses free blocks too whenever it is replayed
  bool abandoned = false;  // of a captured step that is gone: freed with its last block
  // Older blocks that were released while the step was captured: it may have used them before, and
  // does so again whenever it is replayed.
  std::vector<std::pair<std::byte*, Block>> retained;
};

namespace {

// A released block that other streams may still use.
struct Waiting {
  std::byte* data;
  Block block;
  std::vector<Event> events;
};

struct DeviceState {
  MemoryStatistics statistics;
  int64_t limit = 0;
};

struct State {
  std::mutex mutex;
  std::map<CUstream_st*, Pool*> pools, open;  // open: of steps being captured
  std::list<Pool> all;
  std::map<std::byte*, Block> live;
  std::list<Waiting> waiting;
  std::map<int, DeviceState> devices;
  bool caching = true;
};

State& state() {
  static State* const instance = new State;  // outlives every static tensor
  return *instance;
}

Pool* new_pool(State& s, int device) {
  s.all.emplace_back();
  s.all.back().device = device;
  return &s.all.back();
}

Pool* pool_of(State& s, CudaStream stream) {
  if (const auto it = s.open.find(stream.handle); it != s.open.end()) return it->second;
  Pool*& pool = s.pools[stream.handle];
  if (!pool) pool = new_pool(s, stream.device);
  return pool;
}

void release_segments(State& s, Pool& pool) {
  for (auto it = pool.segments.begin(); it != pool.segments.end();) {
    const auto [base, bytes] = *it;
    if (!pool.small.remove(base, bytes) && !pool.large.remove(base, bytes)) {
      ++it;
      continue;
    }
    driver::release(pool.device, base);
    s.devices[pool.device].statistics.reserved_bytes -= bytes;
    it = pool.segments.erase(it);
  }
}

void release_cached(State& s, int device) {
  for (Pool& pool : s.all)
    if (pool.device == device && !pool.kept) release_segments(s, pool);
}

void drop_pool(State& s, Pool* pool) {
  release_segments(s, *pool);
  s.all.remove_if([&](const Pool& other) { return &other == pool; });
}

void give_back(State& s, std::byte* data, const Block& block) {
  if (!block.pool) {
    driver::release(block.device, data);
    s.devices[block.device].statistics.reserved_bytes -= block.held;
    return;
  }
  Pool& pool = *block.pool;
  const auto segment = std::prev(pool.segments.upper_bound(data));
  FreeList& free = block.held <= kSmall ? pool.small : pool.large;
  free.give_back(data, block.held, segment->first, segment->first + segment->second);
  --pool.live;
  if (pool.abandoned && pool.live == 0) drop_pool(s, &pool);
}

void collect(State& s) {
  if (!s.open.empty()) return;  // events are not asked while a step is captured
  for (auto it = s.waiting.begin(); it != s.waiting.end();) {
    const bool done = std::all_of(it->events.begin(), it->events.end(),
                                  [](const Event& event) { return event.is_done(); });
    if (!done) {
      ++it;
      continue;
    }
    give_back(s, it->data, it->block);
    it = s.waiting.erase(it);
  }
}

void* from_driver(State& s, int device, int64_t bytes, int64_t element_bytes) {
  void* memory = driver::allocate(device, bytes, element_bytes);
  if (!memory && s.open.empty()) {  // what is cached may be what is missing
    release_cached(s, device);
    memory = driver::allocate(device, bytes, element_bytes);
  }
  if (memory) s.devices[device].statistics.reserved_bytes += bytes;
  return memory;
}

std::byte* take(State& s, CudaStream stream, Block& block, int64_t element_bytes) {
  if (!s.caching && !s.open.count(stream.handle)) {
    block.held = std::max<int64_t>(block.asked, 1);
    return static_cast<std::byte*>(from_driver(s, stream.device, block.held, element_bytes));
  }
  block.pool = pool_of(s, stream);
  block.held = round_up(std::max<int64_t>(block.asked, 1), kAlignment);
  const bool is_small = block.held <= kSmall;
  FreeList& free = is_small ? block.pool->small : block.pool->large;
  if (std::byte* data = free.take(block.held)) return data;
  const int64_t usual = is_small                   ? kSmallSegment
                        : block.held < kOwnSegment ? kLargeSegment
                                                   : round_up(block.held, kSmallSegment);
  int64_t bytes = usual;
  void* segment = from_driver(s, stream.device, bytes, 0);
  if (!segment && usual > block.held)
    segment = from_driver(s, stream.device, bytes = block.held, 0);
  if (!segment) return nullptr;
  std::byte* const base = static_cast<std::byte*>(segment);
  block.pool->segments[base] = bytes;
  free.give_back(base, bytes, base, base + bytes);
  return free.take(block.held);
}

std::string in_mib(int64_t bytes) {
  std::ostringstream text;
  text.setf(std::ios::fixed);
  text.precision(1);
  text << double(bytes) / double(kMiB) << " MiB";
  return text.str();
}

}  // namespace

MemoryStatistics memory_statistics(int device) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return s.devices[device].statistics;
}

void reset_peak_memory(int device) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  MemoryStatistics& statistics = s.devices[device].statistics;
  statistics.peak_bytes = statistics.current_bytes;
}

void set_memory_limit(int device, int64_t bytes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.devices[device].limit = bytes;
}

void release_cached_memory(int device) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  collect(s);
  release_cached(s, device);
}

void set_memory_caching(bool on) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.caching = on;
}

void record_use(const Tensor& x, CudaStream stream) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto it = s.live.find(x.storage()->data());
  check(it != s.live.end(), "record_use: the tensor on ", x.device(), " is not of a CUDA device");
  std::vector<CudaStream>& users = it->second.users;
  for (const CudaStream& user : users)
    if (user.handle == stream.handle) return;
  users.push_back(stream);
}

PrivateMemory::PrivateMemory(CudaStream stream) : stream_(stream) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check(!s.open.count(stream.handle), "a stream can be captured once at a time");
  pool_ = new_pool(s, stream.device);
  pool_->kept = true;
  s.open[stream.handle] = pool_;
}

void PrivateMemory::close() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (open_) s.open.erase(stream_.handle);
  open_ = false;
}

PrivateMemory::~PrivateMemory() {
  close();
  State& s = state();
  const std::lock_guard lock(s.mutex);
  for (const auto& [data, block] : std::exchange(pool_->retained, {})) give_back(s, data, block);
  pool_->kept = false;
  pool_->abandoned = true;
  if (pool_->live == 0) drop_pool(s, pool_);
}

void PinnedBuffer::Release::operator()(std::byte* memory) const noexcept {
  driver::release_pinned(memory);
}

PinnedBuffer::PinnedBuffer(int64_t bytes)
    : memory_(static_cast<std::byte*>(driver::allocate_pinned(bytes))), bytes_(bytes) {
  check(memory_ != nullptr, "out of pinned memory: ", bytes,
        " bytes asked for; use fewer or smaller buffers");
}

static std::byte* bytes_of(const Tensor& x, const PinnedBuffer& buffer, const char* what) {
  check(x.is_contiguous() && x.device().type == Device::Type::cuda && x.bytes() <= buffer.bytes(),
        what,
        ": a contiguous tensor on a CUDA device and a buffer of its size are needed, but it is ",
        x.bytes(), " bytes on ", x.device(), ", and the buffer ", buffer.bytes());
  return x.storage()->data() + x.offset() * size_of(x.dtype());
}

void upload(CudaStream stream, const PinnedBuffer& from, Tensor& to) {
  driver::copy_in(stream.handle, bytes_of(to, from, "upload"), from.data(), to.bytes());
}

void download(CudaStream stream, const Tensor& from, PinnedBuffer& to) {
  driver::copy_out(stream.handle, to.data(), bytes_of(from, to, "download"), from.bytes());
}

}  // namespace fathom::cuda

namespace fathom {

int64_t cuda_free_bytes(int device) {
  cuda::current_stream(device);  // which checks the device
  const MemoryStatistics own = cuda::memory_statistics(device);
  return cuda::driver::memory(device).free_bytes + own.reserved_bytes - own.current_bytes;
}

MemoryStatistics cuda_memory_statistics(int device) { return cuda::memory_statistics(device); }

void cuda_synchronize(int device) { cuda::synchronize(device); }

}  // namespace fathom

namespace fathom::allocator {

std::byte* allocate(CudaStream stream, int64_t bytes, int64_t element_bytes) {
  using namespace cuda;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  DeviceState& device = s.devices[stream.device];
  MemoryStatistics& statistics = device.statistics;
  if (bytes < 0 || (device.limit != 0 && bytes > device.limit - statistics.current_bytes))
    fail("out of memory on cuda:", stream.device, ": ", in_mib(bytes), " (", bytes,
         " bytes) asked for, ", in_mib(statistics.current_bytes), " in use, limit ",
         in_mib(device.limit), "; reduce the batch or the image size, or raise the limit");
  collect(s);
  Block block{.asked = bytes, .held = 0, .pool = nullptr, .device = stream.device, .users = {}};
  std::byte* const data = take(s, stream, block, element_bytes);
  if (!data) {
    const driver::Memory memory = driver::memory(stream.device);
    fail("out of memory on cuda:", stream.device, ": ", in_mib(bytes), " (", bytes,
         " bytes) asked for, ", in_mib(statistics.current_bytes), " in use, ",
         in_mib(statistics.reserved_bytes - statistics.current_bytes), " cached, ",
         in_mib(memory.free_bytes), " of ", in_mib(memory.total_bytes),
         " free; reduce the batch or the image size");
  }
  if (block.pool) ++block.pool->live;
  s.live.emplace(data, std::move(block));
  statistics.current_bytes += bytes;
  statistics.peak_bytes = std::max(statistics.peak_bytes, statistics.current_bytes);
  ++statistics.allocations;
  if (profile::is_on())
    profile::set_memory({Device::Type::cuda, stream.device}, statistics.current_bytes);
  return data;
}

void release(CudaStream, std::byte* data) noexcept {
  using namespace cuda;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto it = s.live.find(data);
  Block block = std::move(it->second);
  s.live.erase(it);
  const int64_t left = s.devices[block.device].statistics.current_bytes -= block.asked;
  if (profile::is_on()) profile::set_memory({Device::Type::cuda, block.device}, left);
  for (const auto& [stream, pool] : s.open)
    if (pool->device == block.device && pool != block.pool) {
      pool->retained.emplace_back(data, std::move(block));
      return;
    }
  if (block.users.empty()) return give_back(s, data, block);
  Waiting waiting{data, block, {}};
  for (const CudaStream& user : block.users) {
    waiting.events.emplace_back(user.device);
    waiting.events.back().record(user);
  }
  s.waiting.push_back(std::move(waiting));
}

}  // namespace fathom::allocator
