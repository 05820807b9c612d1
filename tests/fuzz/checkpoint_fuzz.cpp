// Mutated checkpoints. Every input must be read or refused by an Error: no crash, no leak, no
// memory beyond a multiple of its size.
//
//   fathom_fuzz_checkpoint COUNT SEED_FILE...    a deterministic mutation loop
//   clang++ -fsanitize=fuzzer,address,undefined -DFATHOM_LIBFUZZER ...    under libFuzzer (needs a
//                                               clang with std::source_location: 16 or newer)
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "models/checkpoint/detect.h"
#include "models/checkpoint/state_dict.h"

// Live bytes of operator new, and their peak. One thread.
static size_t live_bytes = 0, peak_bytes = 0;

void operator delete(void* p) noexcept;
void* operator new(size_t size) {
  void* p = std::malloc(size);
  if (p == nullptr) std::abort();
  live_bytes += malloc_usable_size(p);
  peak_bytes = std::max(peak_bytes, live_bytes);
  return p;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void operator delete(void* p, const std::nothrow_t&) noexcept { operator delete(p); }
void operator delete(void* p) noexcept {
  if (p != nullptr) live_bytes -= malloc_usable_size(p);
  std::free(p);
}
void operator delete(void* p, size_t) noexcept { operator delete(p); }

namespace fathom {

// What archive.h states.
constexpr size_t kBytesPerInputByte = 64, kConstantBytes = 256 << 10;

struct Outcome {
  bool read = false;
  double peak_ratio = 0;  // peak bytes beyond the constant, per input byte
};

static void read_everything(std::span<const std::byte> input, bool& read) {
  const Archive archive = parse_archive(input, "model_depth.pth");
  read = true;
  static std::byte out[1 << 16];
  for (const Entry& entry : archive.entries) {
    const DType to = is_float(entry.dtype) ? DType::f32 : entry.dtype;
    const int64_t size = entry.shape.numel() * size_of(to);
    if (size <= int64_t(sizeof out)) copy_elements(entry, to, {out, size_t(size)});
    if (archive.find(entry.name) != &entry) std::abort();
  }
  const NameMap names = map_names(archive);
  (void)names.report();
  const ExpectedTensor expected[] = {{"pretrained.cls_token", {1, 1, 64}}, {"fc.bias", {3}}};
  (void)match_state_dict(expected, names, archive).report();
  const ModelDescription model = describe_model(archive, names, "model.pth");
  check_known(model, archive);
}

static Outcome run_one(std::span<const std::byte> input) {
  Outcome outcome;
  const size_t before = live_bytes;
  peak_bytes = live_bytes;
  try {
    read_everything(input, outcome.read);
  } catch (const Error&) {
  }
  const size_t used = peak_bytes - before;
  if (used > kBytesPerInputByte * input.size() + kConstantBytes) {
    std::fprintf(stderr, "%zu bytes allocated for an input of %zu bytes\n", used, input.size());
    std::abort();
  }
  outcome.peak_ratio = input.empty() ? 0 : double(used) / double(input.size());
  return outcome;
}

}  // namespace fathom

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fathom::run_one({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}

#ifndef FATHOM_LIBFUZZER

namespace fathom {

using Bytes = std::vector<std::byte>;
using Random = std::mt19937_64;

static size_t below(Random& random, size_t limit) { return limit == 0 ? 0 : random() % limit; }

// Numbers that break size arithmetic, and the opcodes of pickle and the marks of JSON.
static uint64_t nasty(Random& random) {
  static constexpr uint64_t kNumbers[] = {
      0,          1,          0x7f,       0x80,       0xff,  0x7fff,    0xffff,     0x7fffffff,
      0x80000000, 0xffffffff, 1ull << 62, 1ull << 63, ~0ull, ~0ull - 7, 1ull << 32, 3ull << 61};
  return kNumbers[below(random, std::size(kNumbers))];
}
constexpr std::string_view kMarks =
    "(.JKMNQRTUXabc}ehj]qrst)uG\x80\x85\x86\x87\x88\x89\x8a\x8c\x8d\x93\x94\x95{}[],:\"0129e-\\";

// A place to damage. The structure of every format is at its two ends, tensors are between.
static size_t place(size_t size, Random& random) {
  const size_t near = below(random, std::min<size_t>(size, 12 << 10));
  switch (random() % 4) {
    case 0: return near;
    case 1: return size == 0 ? 0 : size - 1 - near;
    default: return below(random, size);
  }
}

// One opcode again and again, behind the magic number of the legacy format: what costs most
// memory for its size.
static std::vector<Bytes> dense_pickles() {
  std::vector<Bytes> files;
  for (const std::string_view unit : {"}", "]", "(", ")", "N", "K\1", "]q\1", "}\x94", "(t", "]]a",
                                      "}NNs", "\x85", "U\1a", "ccollections\nOrderedDict\n)R"}) {
    std::string text("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
    text += "}q";
    text += '\0';
    while (text.size() < (32 << 10)) text += unit;
    text += '.';
    const auto bytes = std::as_bytes(std::span(text));
    files.emplace_back(bytes.begin(), bytes.end());
  }
  return files;
}

static void mutate(Bytes& bytes, const Bytes& other, Random& random) {
  const size_t at = place(bytes.size(), random);
  const auto begin = bytes.begin() + ptrdiff_t(at);
  const size_t length = std::min(bytes.size() - at, 1 + below(random, 64));
  switch (random() % 9) {
    case 0:
      if (!bytes.empty()) bytes[at] ^= std::byte(1 << (random() % 8));
      break;
    case 1:
      if (!bytes.empty()) bytes[at] = std::byte(random());
      break;
    case 2:
      if (!bytes.empty()) bytes[at] = std::byte(kMarks[below(random, kMarks.size())]);
      break;
    case 3: {  // a number of 1, 2, 4 or 8 bytes
      const uint64_t value = nasty(random);
      const size_t size = std::min<size_t>(bytes.size() - at, size_t(1) << (random() % 4));
      std::memcpy(bytes.data() + at, &value, size);
      break;
    }
    case 4: bytes.resize(at); break;
    case 5: bytes.erase(begin, begin + ptrdiff_t(length)); break;
    case 6: {  // a piece of itself again
      const Bytes piece(begin, begin + ptrdiff_t(length));
      const size_t times = 1 + below(random, 32);
      const auto target = ptrdiff_t(below(random, bytes.size() + 1));
      for (size_t i = 0; i < times; ++i)
        bytes.insert(bytes.begin() + target, piece.begin(), piece.end());
      break;
    }
    case 7: {  // a piece of another file
      const size_t from = below(random, other.size());
      const size_t size = std::min({other.size() - from, bytes.size() - at, length});
      std::memcpy(bytes.data() + at, other.data() + from, size);
      break;
    }
    case 8: bytes.insert(begin, std::byte(kMarks[below(random, kMarks.size())])); break;
  }
}

static int fuzz(size_t count, std::vector<Bytes> seeds) {
  Random random(1);
  size_t read = 0;
  double worst = 0, slowest_ms = 0;
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < count; ++i) {
    Bytes input = seeds[i % seeds.size()];
    const Bytes& other = seeds[below(random, seeds.size())];
    const size_t mutations = i < seeds.size() ? 0 : i % 2 == 0 ? 1 : 1 + below(random, 6);
    for (size_t n = mutations; n > 0; --n) mutate(input, other, random);
    input.shrink_to_fit();  // so that the sanitizer sees a read behind the end
    // Kept for a crash that takes the process down.
    if (const char* keep = std::getenv("FATHOM_FUZZ_KEEP"); keep != nullptr) {
      std::FILE* file = std::fopen(keep, "wb");
      std::fwrite(input.data(), 1, input.size(), file);
      std::fclose(file);
    }
    const auto begin = std::chrono::steady_clock::now();
    const Outcome outcome = run_one(input);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    slowest_ms = std::max(slowest_ms, took.count());
    read += outcome.read;
    if (input.size() >= 4096) worst = std::max(worst, outcome.peak_ratio);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf(
      "%zu inputs from %zu seeds in %.1f s: %zu read, %zu refused; largest peak "
      "%.1f bytes per byte (files from 4 KiB), slowest input %.1f ms\n",
      count, seeds.size(), took.count(), read, count - read, worst, slowest_ms);
  return 0;
}

}  // namespace fathom

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s COUNT SEED_FILE...\n", argv[0]);
    return 2;
  }
  std::vector<fathom::Bytes> seeds;
  for (int i = 2; i < argc; ++i) {
    const fathom::MappedFile file(argv[i]);
    // A mutation rarely hits the structure of a larger file.
    if (file.bytes().size() <= (192 << 10))
      seeds.emplace_back(file.bytes().begin(), file.bytes().end());
    else
      std::printf("%s: larger than 192 KiB, left out\n", argv[i]);
  }
  for (fathom::Bytes& dense : fathom::dense_pickles()) seeds.push_back(std::move(dense));
  return fathom::fuzz(std::strtoull(argv[1], nullptr, 10), std::move(seeds));
}

#endif
