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
#include <cstdio>
#include <string>

#include "core/bytes.h"
#include "tests/fuzz/watched.h"
#include "train/data/depth_map.h"
#include "train/data/exr.h"
#include "train/data/hdf5.h"
#include "train/data/manifest_entry.h"
#include "train/data/map_file.h"
#include "train/data/tar.h"

namespace fathom {

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
  std::string file = watched_copy(data, size);
  run(std::as_bytes(std::span(file)));
  if (size >= 512 && file.compare(257, 5, "ustar") == 0) {
    repair_checksums(file);
    run(std::as_bytes(std::span(file)));
  }
  return 0;
}

#ifndef FATHOM_LIBFUZZER

namespace fathom {

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

int main(int argc, char** argv) { return fathom::fuzz(argc, argv, 5, fathom::mutate); }

#endif
