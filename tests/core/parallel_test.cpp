#include "core/parallel.h"

#include <sched.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "tests/child.h"
#include "tests/testing.h"

namespace fathom {

// Another number of threads until the end of the scope.
struct ThreadScope {
  explicit ThreadScope(int count, bool pin = false) { set_thread_count(count, pin); }
  ~ThreadScope() { set_thread_count(before); }
  const int before = thread_count();
};

using Chunks = std::set<std::pair<int64_t, int64_t>>;

static Chunks chunks_of(int64_t count, int64_t grain) {
  Chunks chunks;
  std::mutex mutex;
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    CHECK(chunks.insert({begin, end}).second);
  });
  return chunks;
}

TEST_CASE("parallel_for: the same chunks cover the range with any number of threads") {
  const ThreadScope scope(GENERATE(1, 2, 3, 7));
  for (const int64_t count : {0, 1, 2, 15, 16, 17, 1000})
    for (const int64_t grain : {1, 2, 7, 16, 999, 1000, 1001}) {
      Chunks expected;
      for (int64_t i = 0; i < count; i += grain) expected.insert({i, std::min(count, i + grain)});
      CAPTURE(thread_count(), count, grain);
      CHECK(chunks_of(count, grain) == expected);
    }
}

TEST_CASE("parallel_for: many small regions one after the other") {
  const ThreadScope scope(GENERATE(1, 2, 3, 16));
  int64_t wrong = 0;
  for (int64_t round = 0; round < 3000; ++round) {
    const int64_t count = 1 + round % 37;
    std::vector<int64_t> seen(size_t(count), 0);  // each element belongs to one chunk
    parallel_for(count, 1 + round % 3, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) seen[size_t(i)] += round + i;
    });
    for (int64_t i = 0; i < count; ++i) wrong += seen[size_t(i)] != round + i;
  }
  CHECK(wrong == 0);
}

TEST_CASE("parallel_for: an exception arrives at the caller, and the pool lives on") {
  const ThreadScope scope(GENERATE(1, 2, 3));
  for (const int64_t bad : {0, 1, 50, 99}) {
    const auto throwing = [&](int64_t begin, int64_t) { check(begin != bad, "chunk ", begin); };
    CHECK_THROWS_WITH(parallel_for(100, 1, throwing), "chunk " + std::to_string(bad));
    CHECK(chunks_of(100, 10).size() == 10);
  }
  CHECK_THROWS_AS(parallel_for(100, 1, [](int64_t, int64_t) { throw std::bad_alloc(); }),
                  std::bad_alloc);
  CHECK(chunks_of(100, 10).size() == 10);
}

TEST_CASE("parallel_for: a nested call runs on the calling thread") {
  const ThreadScope scope(3);
  std::atomic<int64_t> sum{0}, elsewhere{0};
  parallel_for(20, 1, [&](int64_t, int64_t) {
    const auto self = std::this_thread::get_id();
    parallel_for(50, 1, [&](int64_t begin, int64_t) {
      sum += begin;
      elsewhere += std::this_thread::get_id() != self;
    });
  });
  CHECK(sum == 20 * 49 * 50 / 2);
  CHECK(elsewhere == 0);
}

TEST_CASE("parallel_for: a region of one chunk leaves the pool to the calls inside it") {
  const ThreadScope scope(2);
  std::set<std::thread::id> threads;
  std::mutex mutex;
  // Two chunks that wait for each other finish only if two threads run them.
  parallel_for(1, 1, [&](int64_t, int64_t) {
    std::atomic<int> arrived{0};
    parallel_for(2, 1, [&](int64_t, int64_t) {
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
      ++arrived;
      while (arrived < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    });
  });
  CHECK(threads.size() == 2);
}

TEST_CASE("parallel_for: several threads may call it at the same time") {
  const ThreadScope scope(GENERATE(1, 2, 3));
  std::atomic<int64_t> wrong{0};
  std::vector<std::thread> callers;
  for (int64_t caller = 0; caller < 4; ++caller)
    callers.emplace_back([caller, &wrong] {
      for (int round = 0; round < 300; ++round) {
        std::atomic<int64_t> sum{0};
        parallel_for(64, 3, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) sum += i * caller;
        });
        wrong += sum != caller * 63 * 64 / 2;
      }
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("parallel_for: sums of chunks have the same bits with any number of threads") {
  const Tensor x = random_tensor({100003});
  const auto total = [&] {
    std::vector<float> partial(size_t(ceil_div(x.numel(), 1000)));
    parallel_for(x.numel(), 1000, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) partial[size_t(begin / 1000)] += x.data<float>()[i];
    });
    float sum = 0;
    for (const float p : partial) sum += p;
    return sum;
  };
  const float expected = total();
  for (const int threads : {1, 2, 3, 8}) {
    const ThreadScope scope(threads);
    CHECK(total() == expected);
  }
}

TEST_CASE("parallel: the number of threads goes up and down") {
  const ThreadScope scope(thread_count());
  for (int round = 0; round < 300; ++round)
    for (const int threads : {2, 5, 1, 3}) {
      set_thread_count(threads);
      REQUIRE(thread_count() == threads);
      std::atomic<int64_t> sum{0};
      if (round % 2) parallel_for(9, 1, [&](int64_t begin, int64_t) { sum += begin; });
      REQUIRE(sum == (round % 2 ? 36 : 0));
    }
}

// CPUs that the threads of the pool may run on, one set a thread that took part.
static std::set<std::vector<int>> affinities() {
  std::set<std::vector<int>> masks;
  std::mutex mutex;
  std::atomic<int> arrived{0};
  parallel_for(thread_count(), 1, [&](int64_t, int64_t) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    ++arrived;
    while (arrived < thread_count() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    cpu_set_t set;
    REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    const std::lock_guard lock(mutex);
    masks.insert(cpus);
  });
  return masks;
}

TEST_CASE("parallel: pinned threads have a CPU each, again and again, until unpinned") {
  const int cpus = available_cpus();
  if (cpus < 2) {
    WARN("one CPU: pinning cannot be seen");
    return;
  }
  const std::set<std::vector<int>> free = affinities();
  {
    const ThreadScope scope(2, true);
    const std::set<std::vector<int>> first = affinities();
    CHECK(first.size() == 2);
    for (const std::vector<int>& mask : first) CHECK(mask.size() == 1);
    set_thread_count(1, true);
    CHECK(affinities() == std::set{*first.begin()});
    set_thread_count(2, true);
    CHECK(affinities() == first);
    set_thread_count(2, false);
    CHECK(affinities() == free);
  }
  CHECK(affinities() == free);
  CHECK(available_cpus() == cpus);
}

TEST_CASE("parallel: FATHOM_THREADS is read with care") {
  CHECK(detail::threads_from(nullptr) == available_cpus());
  CHECK(detail::threads_from("") == available_cpus());
  CHECK(detail::threads_from("1") == 1);
  CHECK(detail::threads_from("1024") == 1024);
  for (const char* text : {"0", "-1", "1025", "two", "2x", "2 ", "1.5", "99999999999999999999"})
    CHECK_THROWS_WITH(
        detail::threads_from(text),
        "FATHOM_THREADS=" + std::string(text) + ": expected a number of threads from 1 to 1024");
}

TEST_CASE("parallel: FATHOM_THREADS sets the threads of a process") {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const ChildResult result =
      run_command("FATHOM_THREADS=3 '" + self + "' 'parallel: says what is wrong'");
  CHECK(result.status == 0);
  CHECK_THAT(result.output, Catch::Contains("3 threads"));
}

TEST_CASE("parallel: says what is wrong") {
  const auto nothing = [](int64_t, int64_t) {};
  CHECK_THROWS_WITH(parallel_for(10, 0, nothing), Catch::Contains("grain must be at least 1"));
  CHECK_THROWS_WITH(set_thread_count(0), Catch::Contains("expected 1 to 1024 threads, got 0"));
  CHECK_THROWS_WITH(set_thread_count(1025), Catch::Contains("1025"));
}

}  // namespace fathom
