#include <cstring>

#include "core/bytes.h"
#include "core/image_codec.h"

#ifdef FATHOM_DEFLATE

#include <libdeflate.h>

#include <memory>

#include "core/png_filter.h"

namespace fathom::codec {

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};

// The data chunks one after another; false where a chunk has a say that is not ours to judge.
static bool collect_data(Bytes file, std::vector<uint8_t>& data) {
  data.reserve(file.size());
  for (size_t at = 33;; at += 12 + read_big32(file, at)) {  // behind the header chunk
    const Bytes type = file.subspan(at + 4, 4), body = file.subspan(at + 8, read_big32(file, at));
    if (starts_with(type, "IEND")) return true;
    const bool ancillary = uint8_t(type[0]) & 0x20;
    if (starts_with(type, "IDAT"))
      data.insert(data.end(), reinterpret_cast<const uint8_t*>(body.data()),
                  reinterpret_cast<const uint8_t*>(body.data()) + body.size());
    else if (!ancillary || starts_with(type, "tRNS"))
      return false;
  }
}

// Rows behind their filter bytes, filters undone; empty for what is not ours.
static std::vector<uint8_t> decode_rows(Bytes file, const ImageHeader& header, int bits) {
  const auto at = [&](size_t offset) { return int(file[offset]); };
  const bool plain = (at(25) == 0 || at(25) == 2) && at(24) == bits && at(26) == 0 && at(27) == 0 &&
                     at(28) == 0;  // grey or RGB; compression, filter method, not interlaced
  std::vector<uint8_t> data;
  if (!plain || !collect_data(file, data)) return {};
  const size_t pixel = size_t(header.channels * bits / 8), row = size_t(header.width) * pixel;
  std::vector<uint8_t> rows(size_t(header.height) * (row + 1));
  const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> zlib(
      libdeflate_alloc_decompressor());
  check(zlib != nullptr, "no memory to decompress");
  // Without a place for the size, anything but exactly this many bytes is an error.
  const bool whole = libdeflate_zlib_decompress(zlib.get(), data.data(), data.size(), rows.data(),
                                                rows.size(), nullptr) == LIBDEFLATE_SUCCESS;
  if (!whole || !undo_png_filters(rows, row, pixel)) return {};
  return rows;
}

std::optional<std::vector<uint8_t>> decode_png(Bytes file, const ImageHeader& header) {
  const std::vector<uint8_t> rows = decode_rows(file, header, 8);
  if (rows.empty()) return std::nullopt;
  const size_t height = size_t(header.height), row = rows.size() / height - 1;
  std::vector<uint8_t> pixels(height * row);
  for (size_t y = 0; y < height; ++y) std::memcpy(&pixels[y * row], &rows[y * (row + 1) + 1], row);
  return pixels;
}

std::optional<std::vector<uint16_t>> decode_png16(Bytes file, const ImageHeader& header) {
  const std::vector<uint8_t> rows = decode_rows(file, header, 16);
  if (rows.empty()) return std::nullopt;
  const size_t height = size_t(header.height), row = rows.size() / height - 1;
  std::vector<uint16_t> samples(height * row / 2);
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* from = &rows[y * (row + 1) + 1];
    uint16_t* to = &samples[y * row / 2];
    for (size_t i = 0; i < row / 2; ++i) to[i] = uint16_t(from[2 * i] << 8 | from[2 * i + 1]);
  }
  return samples;
}

}  // namespace fathom::codec

#else

namespace fathom::codec {

std::optional<std::vector<uint8_t>> decode_png(Bytes, const ImageHeader&) { return std::nullopt; }
std::optional<std::vector<uint16_t>> decode_png16(Bytes, const ImageHeader&) {
  return std::nullopt;
}

}  // namespace fathom::codec

#endif
