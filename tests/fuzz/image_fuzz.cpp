// Feeds damaged files to every reader of pictures and maps, in memory. Needs AddressSanitizer,
// whose hooks see all memory, that of libjpeg and stb_image included.
//
//   cmake --preset asan && ninja -C build/asan fathom_fuzz_image
//   build/asan/fathom_fuzz_image 100000 tests/data/pictures
//
// LLVMFuzzerTestOneInput is libFuzzer's entry; the main below is a deterministic mutation loop for
// compilers without libFuzzer.

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

#include "core/bytes.h"
#include "core/crc32.h"
#include "core/file.h"
#include "core/image.h"
#include "core/npy.h"
#include "core/pfm.h"

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

static constexpr ImageOptions kOptions{.max_pixels = 1 << 16};

struct Tally {
  int64_t inputs = 0, accepted = 0, refused = 0, worst_bytes = 0;
  double worst_share = 0;  // of the allowed memory
};
static Tally tally;

// Runs a reader and checks that it allocates no more than `allowed` bytes and throws only Error.
template <class Read>
static void attempt(int64_t allowed, Read read) {
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

// What a header may cost: an error message and the dictionary of a .npy file.
static constexpr int64_t kFixed = 64 << 10;

// Decoding may take 32 bytes a pixel of the picture padded by 32, 8 bytes a byte of the file and
// 256 KiB, in all stages together; only a file whose header is sound may take them.
static int64_t allowed_for(Bytes file) {
  try {
    const ImageSize size = read_image_size(file, "fuzz", kOptions);
    return 32 * (size.height + 32) * (size.width + 32) + 8 * int64_t(file.size()) + (256 << 10);
  } catch (const Error&) {
    return kFixed;
  }
}

static void run(Bytes file) {
  const int64_t picture = allowed_for(file), map = kFixed + 8 * int64_t(file.size());
  attempt(kFixed, [&] { read_image_size(file, "fuzz", kOptions); });
  attempt(picture, [&] { read_image(file, "fuzz", kOptions); });
  attempt(picture, [&] { read_image16(file, "fuzz", kOptions); });
  attempt(map, [&] { read_npy(file, "fuzz"); });
  attempt(map, [&] { read_pfm(file, "fuzz"); });
}

// Gives every chunk of a PNG its right checksum; without, the decoder behind would see nothing.
static void repair_checksums(std::string& png) {
  const auto word = [&](size_t at) { return read_big32(std::as_bytes(std::span(png)), at); };
  for (size_t at = 8; at + 12 <= png.size();) {
    const size_t length = word(at);
    if (length > png.size() - at - 12) return;
    const uint32_t sum = crc32_of(std::as_bytes(std::span(png)).subspan(at + 4, length + 4));
    for (size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = char(sum >> (24 - 8 * i));
    at += 12 + length;
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
  ++tally.inputs;
  run(std::as_bytes(std::span(file)));
  if (file.starts_with("\x89PNG")) {
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

// One of the usual kinds of damage, at a random place; headers are hit more often than the rest.
static void mutate(std::string& file, const std::string& other, Random& random) {
  if (file.empty()) file = "x";
  const size_t reach = random() % 2 ? std::min<size_t>(file.size(), 64) : file.size();
  const size_t at = below(random, reach), rest = file.size() - at;
  static constexpr uint32_t kEdges[] = {0,       1,          2,          0x7f,      0x80,
                                        0xff,    0x100,      0x7fff,     0x8000,    0xffff,
                                        0x10000, 0x7fffffff, 0x80000000, 0xffffffff};
  const uint32_t edge = kEdges[below(random, std::size(kEdges))];
  switch (below(random, 10)) {
    case 0: file[at] ^= char(1 << below(random, 8)); break;
    case 1: file[at] = char(random()); break;
    case 2: file[at] = char(edge); break;
    case 3:  // a big-endian word
      for (size_t i = 0; i < std::min<size_t>(4, rest); ++i)
        file[at + i] = char(edge >> (24 - 8 * i));
      break;
    case 4:  // a little-endian one
      for (size_t i = 0; i < std::min<size_t>(4, rest); ++i) file[at + i] = char(edge >> (8 * i));
      break;
    case 5: file.erase(at, 1 + below(random, rest)); break;
    case 6: file.insert(at, file.substr(below(random, file.size()), 1 + below(random, 40))); break;
    case 7: file.insert(at, std::string(1 + below(random, 40), char(random()))); break;
    case 8: file[at] = char('0' + below(random, 10)); break;
    case 9: file = file.substr(0, at) + other.substr(std::min(at, other.size())); break;
  }
}

static std::vector<std::string> read_seeds(int count, char** names) {
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

}  // namespace fathom

int main(int argc, char** argv) {
  using namespace fathom;
  if (argc < 3) {
    std::fprintf(stderr, "usage: fathom_fuzz_image COUNT SEED_FILE_OR_FOLDER...\n");
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
    for (size_t n = below(random, 6); n > 0; --n) mutate(current, other, random);
    const auto begin = std::chrono::steady_clock::now();
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.data()), current.size());
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - begin;
    slowest_ms = std::max(slowest_ms, spent.count());
  }
  std::printf(
      "%lld inputs from %zu seeds: %lld reads accepted, %lld refused; at most %lld bytes "
      "allocated, "
      "%.0f%% of what was allowed; slowest input %.1f ms\n",
      (long long)tally.inputs, seeds.size(), (long long)tally.accepted, (long long)tally.refused,
      (long long)tally.worst_bytes, 100 * tally.worst_share, slowest_ms);
  return 0;
}

#endif
