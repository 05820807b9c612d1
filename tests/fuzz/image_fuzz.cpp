// Feeds damaged files to every reader of pictures and maps, in memory. Needs AddressSanitizer,
// whose hooks see all memory, that of libjpeg and stb_image included.
//
//   cmake --preset asan && ninja -C build/asan fathom_fuzz_image
//   build/asan/fathom_fuzz_image 100000 tests/data/pictures
//
// LLVMFuzzerTestOneInput is libFuzzer's entry; the main below is a deterministic mutation loop for
// compilers without libFuzzer.

#include <algorithm>
#include <string>

#include "core/bytes.h"
#include "core/crc32.h"
#include "core/image.h"
#include "core/npy.h"
#include "core/pfm.h"
#include "tests/fuzz/watched.h"

namespace fathom {

static constexpr ImageOptions kOptions{.max_pixels = 1 << 16};

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
  std::string file = watched_copy(data, size);
  run(std::as_bytes(std::span(file)));
  if (file.starts_with("\x89PNG")) {
    repair_checksums(file);
    run(std::as_bytes(std::span(file)));
  }
  return 0;
}

#ifndef FATHOM_LIBFUZZER

namespace fathom {

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

}  // namespace fathom

int main(int argc, char** argv) { return fathom::fuzz(argc, argv, 6, fathom::mutate); }

#endif
