#include "core/allocator.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "tests/child.h"
#include "tests/testing.h"

namespace fathom {

static int64_t in_use() { return allocator::statistics().current_bytes; }
static int64_t reserved() { return allocator::statistics().reserved_bytes; }

TEST_CASE("allocator: blocks are aligned, and start as NaN under guards") {
  for (const int64_t bytes : {1, 2, 63, 64, 65, 1000, 4096, 1 << 20}) {
    std::byte* block = allocator::allocate(bytes);
    CAPTURE(bytes);
    CHECK(reinterpret_cast<uintptr_t>(block) % allocator::kAlignment == 0);
    CHECK(std::all_of(block, block + bytes, [](std::byte b) { return b == std::byte(0xff); }));
    allocator::release(block);
  }
}

TEST_CASE("allocator: blocks of no bytes are blocks of their own") {
  std::byte *a = allocator::allocate(0), *b = allocator::allocate(0);
  CHECK(a != b);
  allocator::release(a);
  allocator::release(b);
}

TEST_CASE("allocator: statistics follow what is asked for") {
  const MemoryStatistics before = allocator::statistics();
  std::byte *a = allocator::allocate(100), *b = allocator::allocate(3000);
  CHECK(in_use() == before.current_bytes + 3100);
  CHECK(allocator::statistics().allocations == before.allocations + 2);
  allocator::reset_peak();
  allocator::release(a);
  CHECK(in_use() == before.current_bytes + 3000);
  CHECK(allocator::statistics().peak_bytes == before.current_bytes + 3100);
  a = allocator::allocate(101);
  CHECK(allocator::statistics().peak_bytes == before.current_bytes + 3101);
  allocator::release(a);
  allocator::release(b);
  allocator::reset_peak();
  CHECK(allocator::statistics().peak_bytes == before.current_bytes);
}

TEST_CASE("allocator: freed memory is used again") {
  allocator::release(allocator::allocate(3 << 20));
  const int64_t before = reserved();
  for (int i = 0; i < 50; ++i) allocator::release(allocator::allocate((3 << 20) - 100 * i));
  CHECK(reserved() == before);
}

#ifndef FATHOM_SANITIZE  // there every block comes from the sanitizer's own allocator
TEST_CASE("allocator: neighbours are merged in whatever order they are freed") {
  constexpr int64_t kBytes = 1 << 20;
  std::array<int, 3> order{0, 1, 2};
  do {
    // Fill every hole that other tests left, until the region grows: what follows lies at the top.
    std::vector<std::byte*> fillers;
    for (int64_t before = -1; before != reserved() - kBytes - 2 * allocator::kAlignment;) {
      before = reserved();
      fillers.push_back(allocator::allocate(kBytes));
    }
    std::array<std::byte*, 3> blocks{};
    for (std::byte*& block : blocks) block = allocator::allocate(kBytes);
    REQUIRE(blocks[1] > blocks[0]);
    REQUIRE(blocks[2] - blocks[1] == blocks[1] - blocks[0]);
    std::byte* lid = allocator::allocate(kBytes);  // keeps them away from the top
    for (const int i : order) allocator::release(blocks[size_t(i)]);
    const int64_t before = reserved();
    std::byte* whole = allocator::allocate(3 * kBytes);
    CHECK(whole == blocks[0]);
    CHECK(reserved() == before);
    allocator::release(whole);
    allocator::release(lid);
    for (std::byte* filler : fillers) allocator::release(filler);
  } while (std::next_permutation(order.begin(), order.end()));
}
#endif

TEST_CASE("allocator: the limit is exact, and its message gives the numbers") {
  const int64_t before = in_use();
  allocator::set_limit(before + 1000);
  std::byte* block = allocator::allocate(1000);
  CHECK_THROWS_WITH(allocator::allocate(1),
                    "out of memory: 1 bytes asked for, " + std::to_string(before + 1000) +
                        " in use, limit " + std::to_string(before + 1000) +
                        "; reduce the batch or the image size, or raise the limit");
  CHECK(in_use() == before + 1000);
  allocator::release(block);
  allocator::set_limit(0);
  allocator::release(allocator::allocate(1001));
}

TEST_CASE("allocator: more than the machine has is refused in words, not by a signal") {
  for (const int power : {44, 52, 59})  // bytes of an f64: 2^47 to 2^62
    CHECK_THROWS_WITH(empty({int64_t(1) << power}, {DType::f64}),
                      Catch::Contains("out of memory") && Catch::Contains("reduce the batch"));
  for (const int64_t bytes : {INT64_MIN, int64_t(-1), INT64_MAX})
    CHECK_THROWS_WITH(allocator::allocate(bytes), Catch::Contains("out of memory"));
}

TEST_CASE("allocator: guards tell a write outside a block") {
  const auto offset = GENERATE(-1, -64, 1000, 1063);
  CAPTURE(offset);
  const ChildResult at_release = in_child([=] {
    std::byte* block = allocator::allocate(1000);
    block[offset] = std::byte(1);
    allocator::release(block);
  });
  CHECK(at_release.signal == SIGABRT);
  CHECK_THAT(at_release.output, Catch::Contains("written outside a tensor of 1000 bytes"));
  const ChildResult at_check = in_child([=] {
    allocator::allocate(1000)[offset] = std::byte(1);
    allocator::check_guards();
  });
  CHECK(at_check.status == 1);
  CHECK_THAT(at_check.output, Catch::Contains("written outside a tensor of 1000 bytes"));
}

TEST_CASE("allocator: random traffic agrees with a model") {
  std::mt19937 random(7);
  struct Live {
    int64_t bytes;
    std::byte tag;
  };
  std::map<std::byte*, Live> model;
  const int64_t before = in_use();
  int64_t total = 0;
  bool disjoint = true, kept = true;
  const auto drop = [&](std::map<std::byte*, Live>::iterator it) {
    const auto [block, live] = *it;
    kept =
        kept && std::all_of(block, block + live.bytes, [&](std::byte b) { return b == live.tag; });
    total -= live.bytes;
    model.erase(it);
    allocator::release(block);
  };
  for (int step = 0; step < 20000; ++step) {
    if (model.empty() || (random() % 100 < 52 && total < (16 << 20))) {
      const int64_t bytes = 1 + int64_t(random() % (1u << (random() % 16)));
      std::byte* block = allocator::allocate(bytes);
      const auto next = model.lower_bound(block);
      disjoint = disjoint && (next == model.end() || block + bytes <= next->first);
      if (next != model.begin()) {
        const auto previous = std::prev(next);
        disjoint = disjoint && previous->first + previous->second.bytes <= block;
      }
      const auto tag = std::byte(random() & 0xff);
      std::memset(block, int(tag), size_t(bytes));
      model.insert({block, {bytes, tag}});
      total += bytes;
    } else {
      drop(std::next(model.begin(), std::min<long>(long(random() % 64), long(model.size()) - 1)));
    }
    if (step % 100 == 0) REQUIRE(in_use() == before + total);
  }
  while (!model.empty()) drop(model.begin());
  CHECK(disjoint);
  CHECK(kept);
  CHECK(in_use() == before);
}

TEST_CASE("allocator: threads may allocate at the same time") {
  const int64_t before = in_use();
  std::array<bool, 4> kept{};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kept.size(); ++t)
    threads.emplace_back([t, &kept] {
      std::mt19937 random{uint32_t(t)};
      kept[t] = true;
      for (int i = 0; i < 2000; ++i) {
        const size_t bytes = 1 + random() % 5000;
        std::byte* block = allocator::allocate(int64_t(bytes));
        std::memset(block, int(t), bytes);
        std::this_thread::yield();
        for (size_t b = 0; b < bytes; ++b) kept[t] = kept[t] && block[b] == std::byte(t);
        allocator::release(block);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(std::all_of(kept.begin(), kept.end(), [](bool k) { return k; }));
  CHECK(in_use() == before);
}

}  // namespace fathom
