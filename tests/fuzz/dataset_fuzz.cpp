// Feeds damaged files to the readers of training data: lines of manifests, tar archives, depth
// maps. Needs AddressSanitizer, whose hooks see all memory, that of zlib included.
//
//   cmake --preset asan && ninja -C build/asan fathom_fuzz_dataset
//   build/asan/fathom_fuzz_dataset 100000 tests/data/maps/*
//
// EXR and HDF5 are left out: their libraries are not ours, and libhdf5 does not claim to be safe.
// LLVMFuzzerTestOneInput is libFuzzer's entry; the main below is a deterministic mutation loop for
// compilers without libFuzzer.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/file.h"
#include "train/data/depth_map.h"
#include "train/data/exr.h"
#include "train/data/hdf5.h"
#include "train/data/manifest_entry.h"
#include "train/data/map_file.h"
#include "train/data/tar.h"

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
static std::atomic<int64_t> live{0}, peak{0};

static void on_malloc(const volatile void*, size_t size) {
  const int64_t now = live += int64_t(size);
  int64_t seen = peak;
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
}

static void on_free(const volatile void* block) {
  if (block != nullptr) live -= int64_t(__sanitizer_get_allocated_size(block));
}

static int64_t inputs = 0, accepted = 0, refused = 0;
static double worst_share = 0;

// Runs a reader and checks that it allocates no more than `allowed` bytes and throws only Error.
template <class Read>
static void attempt(int64_t allowed, Read read) {
  const int64_t before = live;
  peak = before;
  bool good = true;
  try {
    read();
  } catch (const Error&) {
    good = false;
  }
  ++(good ? accepted : refused);
  const int64_t used = peak - before;
  worst_share = std::max(worst_share, double(used) / double(allowed));
  if (used > allowed) {
    std::fprintf(stderr, "allocated %lld bytes, %lld are allowed\n", (long long)used,
                 (long long)allowed);
    std::abort();
  }
}

static void read_tar(Bytes file) {
  const TarIndex tar(file, "fuzz.tar");
  for (const std::string& name : tar.names()) {
    const auto bytes = tar.find(name);
    if (!bytes || bytes->size() > file.size()) std::abort();
  }
}

static void read_label(Bytes file) {
  constexpr ImageOptions kOptions{.max_pixels = 1 << 14};
  const FloatMap map = read_map(file, "fuzz.map", {}, kOptions);
  const LabelFormat format{.invalid = {parse_marker("<=1")},
                           .sky = {parse_marker("inf")},
                           .lowest_percent = 1,
                           .ray_focal_px = 100};
  const DepthMap depth = depth_map(map, format, DepthTarget::inverse_depth, &map, &map);
  for (const float value : depth.values)
    if (!(value >= 0 && value <= 1)) std::abort();
}

static void run(Bytes file) {
  const auto size = int64_t(file.size());
  constexpr int64_t kFixed = 128 << 10;  // error messages, JSON's tables
  attempt(kFixed + 32 * size, [&] {
    parse_manifest_entry({reinterpret_cast<const char*>(file.data()), file.size()}, "fuzz:1");
  });
  attempt(kFixed + 8 * size, [&] { read_tar(file); });
  // Maps of 2^14 pixels: 8 bytes a value deflated, 4 as float, decoders 40, and what is made of
  // them.
  if (!is_exr(file) && !is_hdf5(file))
    attempt(kFixed + (256 << 10) + 24 * size + 128 * (1 << 14), [&] { read_label(file); });
}

// Gives every header of a tar its right checksum; without, nothing behind it would be looked at.
static void repair_checksums(std::string& tar) {
  for (size_t at = 0; at + 512 <= tar.size(); at += 512) {
    if (tar.compare(at + 257, 5, "ustar") != 0) continue;
    unsigned sum = 8 * ' ';
    for (size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? 0 : uint8_t(tar[at + i]);
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum);
    tar.replace(at + 148, 7, text, 7);
  }
}

}  // namespace fathom

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fathom;
  static const int hooks = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  if (hooks == 0) std::abort();
  // A copy of exactly this size, so that the sanitizer sees a read beyond the end.
  std::string file(reinterpret_cast<const char*>(data), size);
  file.shrink_to_fit();
  ++inputs;
  run(std::as_bytes(std::span(file)));
  if (size >= 512 && file.compare(257, 5, "ustar") == 0) {
    repair_checksums(file);
    run(std::as_bytes(std::span(file)));
  }
  return 0;
}

#ifndef FATHOM_LIBFUZZER

namespace fathom {

static std::string current;  // what the readers were looking at when something died

static void keep_current() {
  std::ofstream("fuzz_crash.bin", std::ios::binary) << current;
  std::fprintf(stderr, "the input is in fuzz_crash.bin\n");
}

using Random = std::mt19937_64;

static size_t below(Random& random, size_t bound) { return size_t(random() % bound); }

// One of the usual kinds of damage, at a random place.
static void mutate(std::string& file, const std::string& other, Random& random) {
  if (file.empty()) file = "x";
  const size_t at = below(random, file.size()), rest = file.size() - at;
  constexpr std::string_view kMarks = "{}[]\",:0123456789-+.eE<>=\\ \n\t/xLg\x80\xff";
  static constexpr uint32_t kEdges[] = {0,      1,          0x7f,       0x80,      0xff,
                                        0xffff, 0x7fffffff, 0x80000000, 0xffffffff};
  const uint32_t edge = kEdges[below(random, std::size(kEdges))];
  switch (below(random, 9)) {
    case 0: file[at] ^= char(1 << below(random, 8)); break;
    case 1: file[at] = char(random()); break;
    case 2: file[at] = kMarks[below(random, kMarks.size())]; break;
    case 3:
      for (size_t i = 0; i < std::min<size_t>(4, rest); ++i) file[at + i] = char(edge >> (8 * i));
      break;
    case 4: file.erase(at, 1 + below(random, rest)); break;
    case 5: file.insert(at, file.substr(below(random, file.size()), 1 + below(random, 600))); break;
    case 6: file.insert(at, std::string(1 + below(random, 40), char(random()))); break;
    case 7: {  // an octal field
      const size_t field = at / 512 * 512 + 124 + below(random, 12);
      if (field < file.size()) file[field] = char('0' + below(random, 8));
      break;
    }
    case 8: file = file.substr(0, at) + other.substr(std::min(at, other.size())); break;
  }
}

}  // namespace fathom

int main(int argc, char** argv) {
  using namespace fathom;
  if (argc < 3) {
    std::fprintf(stderr, "usage: fathom_fuzz_dataset COUNT SEED_FILE...\n");
    return 2;
  }
  const long count = std::atol(argv[1]);
  std::vector<std::string> seeds;
  for (int i = 2; i < argc; ++i) seeds.push_back(read_text(argv[i]));
  __sanitizer_set_death_callback(keep_current);
  Random random(1);
  double slowest_ms = 0;
  for (long i = 0; i < count; ++i) {
    current = seeds[size_t(i) % seeds.size()];
    const std::string& other = seeds[below(random, seeds.size())];
    for (size_t n = below(random, 5); n > 0; --n) mutate(current, other, random);
    const auto begin = std::chrono::steady_clock::now();
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.data()), current.size());
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - begin;
    slowest_ms = std::max(slowest_ms, spent.count());
  }
  std::printf(
      "%lld inputs from %zu seeds: %lld reads accepted, %lld refused; at most %.0f%% of the "
      "allowed memory; slowest input %.1f ms\n",
      (long long)inputs, seeds.size(), (long long)accepted, (long long)refused, 100 * worst_share,
      slowest_ms);
  return 0;
}

#endif
