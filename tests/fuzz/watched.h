// What the fuzzers share that watch all memory of the process through AddressSanitizer's hooks,
// that of the libraries behind a reader included: the bound of every read, and a deterministic
// mutation loop for compilers without libFuzzer.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"

// From sanitizer/allocator_interface.h and common_interface_defs.h; GCC ships only the second.
extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                              void (*on_free)(const volatile void*));
size_t __sanitizer_get_allocated_size(const volatile void* block);
void __sanitizer_set_death_callback(void (*callback)());
// An abort, such as that of an exception nobody catches, is reported like any other death.
const char* __asan_default_options() { return "handle_abort=1"; }
}

namespace fathom {

// Live bytes of the whole process, and their peak since the last reset.
inline std::atomic<int64_t> live{0}, peak{0};

inline void on_malloc(const volatile void*, size_t size) {
  const int64_t now = live += int64_t(size);
  int64_t seen = peak;
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
}

inline void on_free(const volatile void* block) {
  if (block != nullptr) live -= int64_t(__sanitizer_get_allocated_size(block));
}

struct Tally {
  int64_t inputs = 0, accepted = 0, refused = 0, worst_bytes = 0;
  double worst_share = 0;  // of the allowed memory
};
inline Tally tally;

// Runs a reader and checks that it allocates no more than `allowed` bytes and throws only Error.
template <class Read>
void attempt(int64_t allowed, Read read) {
  const int64_t before = live;
  peak = before;
  bool accepted = true;
  try {
    read();
  } catch (const Error&) {
    accepted = false;
  }
  const int64_t used = peak - before;
  ++(accepted ? tally.accepted : tally.refused);
  tally.worst_bytes = std::max(tally.worst_bytes, used);
  tally.worst_share = std::max(tally.worst_share, double(used) / double(allowed));
  if (used > allowed) {
    std::fprintf(stderr, "allocated %lld bytes, %lld are allowed\n", (long long)used,
                 (long long)allowed);
    std::abort();
  }
}

// One input as a copy of exactly its size, so that the sanitizer sees a read beyond the end.
inline std::string watched_copy(const uint8_t* data, size_t size) {
  static const int hooks = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  if (hooks == 0) std::abort();
  std::string file(reinterpret_cast<const char*>(data), size);
  file.shrink_to_fit();
  ++tally.inputs;
  return file;
}

}  // namespace fathom

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#ifndef FATHOM_LIBFUZZER

namespace fathom {

using Random = std::mt19937_64;

inline size_t below(Random& random, size_t bound) { return size_t(random() % bound); }

inline std::string current;  // what the readers were looking at when something died

inline void keep_current() {
  std::ofstream("fuzz_crash.bin", std::ios::binary) << current;
  std::fprintf(stderr, "the input is in fuzz_crash.bin\n");
}

inline std::vector<std::string> read_seeds(int count, char** names) {
  std::vector<std::string> seeds;
  const auto add = [&](const std::filesystem::path& path) { seeds.push_back(read_text(path)); };
  for (int i = 0; i < count; ++i) {
    if (!std::filesystem::is_directory(names[i])) {
      add(names[i]);
      continue;
    }
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(names[i]))
      paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());  // the order of a folder is not the same everywhere
    std::for_each(paths.begin(), paths.end(), add);
  }
  return seeds;
}

// main of a fuzzer: COUNT inputs, each a seed with fewer than `damages` mutations.
template <class Mutate>
int fuzz(int argc, char** argv, size_t damages, Mutate mutate) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s COUNT SEED_FILE_OR_FOLDER...\n", argv[0]);
    return 2;
  }
  const long count = std::atol(argv[1]);
  const std::vector<std::string> seeds = read_seeds(argc - 2, argv + 2);
  __sanitizer_set_death_callback(keep_current);
  Random random(1);
  double slowest_ms = 0;
  for (long i = 0; i < count; ++i) {
    current = seeds[size_t(i) % seeds.size()];
    const std::string& other = seeds[below(random, seeds.size())];
    for (size_t n = below(random, damages); n > 0; --n) mutate(current, other, random);
    const auto begin = std::chrono::steady_clock::now();
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.data()), current.size());
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - begin;
    slowest_ms = std::max(slowest_ms, spent.count());
  }
  std::printf(
      "%lld inputs from %zu seeds: %lld reads accepted, %lld refused; at most %lld bytes "
      "allocated, %.0f%% of what was allowed; slowest input %.1f ms\n",
      (long long)tally.inputs, seeds.size(), (long long)tally.accepted, (long long)tally.refused,
      (long long)tally.worst_bytes, 100 * tally.worst_share, slowest_ms);
  return 0;
}

}  // namespace fathom

#endif
