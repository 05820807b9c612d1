#include "core/cuda/memory.h"

#include <cstring>

#include "core/cuda.h"
#include "core/cuda/stream.h"
#include "tests/testing.h"

namespace fathom {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr Device kDevice{Device::Type::cuda, 0};

// With caching, on a stream of its own, from a device that holds nothing of it.
struct Caching {
  Caching() { cuda::set_memory_caching(true); }
  ~Caching() {
    cuda::release_cached_memory(0);
    cuda::set_memory_caching(false);
  }
};

bool absent() { return cuda_devices().empty(); }

Tensor bytes(int64_t count) { return empty({count}, {DType::u8, kDevice}); }
const std::byte* address(const Tensor& x) { return x.storage()->data(); }
int64_t in_use() { return cuda::memory_statistics(0).current_bytes; }
int64_t reserved() { return cuda::memory_statistics(0).reserved_bytes; }

}  // namespace

TEST_CASE("cuda memory: a released block is the next one, without the driver") {
  if (absent()) return;
  const Caching caching;
  const int64_t before = reserved();
  Tensor a = bytes(1000), b = bytes(3 * kMiB);
  const std::byte *at_a = address(a), *at_b = address(b);
  CHECK(reserved() - before == (2 + 20) * kMiB);  // a segment of either kind
  CHECK(reinterpret_cast<uintptr_t>(at_a) % 256 == 0);
  a = {}, b = {};
  CHECK(address(a = bytes(1000)) == at_a);
  CHECK(address(b = bytes(3 * kMiB)) == at_b);
  CHECK(reserved() - before == 22 * kMiB);
  a = {}, b = {};
  cuda::release_cached_memory(0);
  CHECK(reserved() == before);
}

TEST_CASE("cuda memory: neighbours are merged, and never across segments") {
  if (absent()) return;
  const Caching caching;
  const int64_t before = reserved();
  std::vector<Tensor> parts;
  for (int i = 0; i < 10; ++i) parts.push_back(bytes(2 * kMiB));  // one segment of 20 MiB
  parts.push_back(bytes(2 * kMiB));                               // the next
  CHECK(reserved() - before == 40 * kMiB);
  parts.erase(parts.begin() + 3, parts.begin() + 6);
  parts.erase(parts.begin(), parts.begin() + 3);  // 12 MiB side by side, and 18 in the other one
  const Tensor whole = bytes(18 * kMiB), rest = bytes(12 * kMiB);
  CHECK(reserved() - before == 40 * kMiB);
  const Tensor own = bytes(19 * kMiB);  // fits nowhere: a segment of its own
  CHECK(reserved() - before == 60 * kMiB);
}

TEST_CASE("cuda memory: statistics count what was asked for") {
  if (absent()) return;
  const Caching caching;
  const int64_t before = in_use();
  cuda::reset_peak_memory(0);
  {
    const Tensor a = bytes(100), b = bytes(5000);
    CHECK(in_use() - before == 5100);
  }
  CHECK(in_use() == before);
  CHECK(cuda::memory_statistics(0).peak_bytes - before == 5100);
  cuda::reset_peak_memory(0);
  CHECK(cuda::memory_statistics(0).peak_bytes == before);
}

TEST_CASE("cuda memory: a limit is kept, and said") {
  if (absent()) return;
  const Caching caching;
  cuda::set_memory_limit(0, in_use() + 10 * kMiB);
  const Tensor a = bytes(6 * kMiB);
  CHECK_THROWS_WITH(bytes(5 * kMiB), Catch::Contains("out of memory on cuda:0: 5.0 MiB") &&
                                         Catch::Contains("asked for") && Catch::Contains("limit") &&
                                         Catch::Contains("raise the limit"));
  CHECK_NOTHROW(bytes(4 * kMiB));
  cuda::set_memory_limit(0, 0);
  CHECK_NOTHROW(bytes(5 * kMiB));
}

TEST_CASE("cuda memory: out of memory says what to do, and leaves everything usable") {
  if (absent()) return;
  const Caching caching;
  const int64_t free = cuda::driver::memory(0).free_bytes;
  { const Tensor cached = bytes(free / 2); }
  // Only what was cached makes room for this one.
  Tensor most = bytes(free / 8 * 5);
  CHECK_THROWS_WITH(bytes(free / 2),
                    Catch::Contains("out of memory on cuda:0: ") &&
                        Catch::Contains(std::to_string(free / 2) + " bytes) asked for, ") &&
                        Catch::Contains(" in use, ") && Catch::Contains(" cached, ") &&
                        Catch::Contains(" free; reduce the batch or the image size"));
  CHECK(values(full({3}, 7, {DType::f32, kDevice})) == std::vector<double>{7, 7, 7});
  most = {};
  CHECK_NOTHROW(bytes(free / 2));
}

TEST_CASE("cuda memory: every stream has blocks of its own") {
  if (absent()) return;
  const Caching caching;
  const cuda::Stream other(0);
  const std::byte* at = nullptr;
  { at = address(bytes(1000)); }
  {
    const cuda::StreamScope scope(other);
    CHECK(cuda::current_stream(0).handle == CudaStream(other).handle);
    Tensor a = bytes(1000);
    CHECK(address(a) != at);
    cuda::record_use(a, cuda::current_stream(0));
  }
  CHECK(cuda::current_stream(0).handle != CudaStream(other).handle);
  CHECK(address(bytes(1000)) == at);
}

TEST_CASE("cuda memory: a block that another stream used waits for it") {
  if (absent()) return;
  const Caching caching;
  const cuda::Stream other(0);
  Tensor a = bytes(1000);
  cuda::record_use(a, other);
  a = {};
  other.synchronize();
  CHECK_NOTHROW(bytes(1000));  // which looks after the event
  CHECK_THROWS_WITH(cuda::record_use(zeros({2}), other), Catch::Contains("not of a CUDA device"));
}

TEST_CASE("cuda memory: pinned buffers") {
  if (absent()) return;
  cuda::PinnedBuffer buffer(16);
  const float numbers[4] = {1, 2, 3, 4};
  std::memcpy(buffer.data(), numbers, sizeof numbers);
  Tensor x = empty({4}, {DType::f32, kDevice});
  const CudaStream stream = cuda::current_stream(0);
  cuda::upload(stream, buffer, x);
  cuda::Event copied(0);
  copied.record(stream);
  copied.synchronize();
  CHECK(copied.is_done());
  CHECK(values(x) == std::vector<double>{1, 2, 3, 4});
  cuda::download(stream, full({4}, 9, {DType::f32, kDevice}), buffer);
  cuda::synchronize(0);
  float back[4];
  std::memcpy(back, buffer.data(), sizeof back);
  CHECK(back[3] == 9);
  Tensor large = empty({5}, {DType::f32, kDevice});
  CHECK_THROWS_WITH(cuda::upload(stream, buffer, large),
                    Catch::Contains("20 bytes on cuda:0, and the buffer 16"));
}

}  // namespace fathom
