#include "core/image_header.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "core/bytes.h"
#include "core/crc32.h"
#include "core/exif.h"

namespace fathom {

static int byte_at(Bytes file, size_t offset) {
  return int(read_uint(file, offset, 1, std::endian::big));
}

// Segments up to the frame header. Source: ITU-T T.81, annex B.
static ImageHeader jpeg_header(Bytes file) {
  ImageHeader header{.format = ImageFormat::jpeg};
  bool has_exif = false;
  for (size_t at = 2;;) {
    while (byte_at(file, at) != 0xff) ++at;  // decoders skip stray bytes between segments
    while (byte_at(file, at) == 0xff) ++at;
    const int marker = byte_at(file, at++);
    check(marker != 0xd9 && marker != 0xda, "a JPEG without a frame header");
    if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue;  // no length follows
    const size_t length = read_big16(file, at);
    check(length >= 2 && length <= file.size() - at, "a JPEG segment of ", length,
          " bytes exceeds the file");
    const Bytes segment = file.subspan(at + 2, length - 2);
    at += length;
    if (marker == 0xe1 && !has_exif && starts_with(segment, {"Exif\0\0", 6})) {
      has_exif = true;
      header.orientation = exif_orientation(segment.subspan(6));
    }
    const bool frame =
        marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (!frame) continue;
    header.bits = byte_at(segment, 0);
    header.height = read_big16(segment, 1);
    header.width = read_big16(segment, 3);
    header.channels = byte_at(segment, 5);
    return header;
  }
}

// All chunks, with their checksums. Source: PNG specification (third edition), sections 5 and 11.
static ImageHeader png_header(Bytes file) {
  ImageHeader header{.format = ImageFormat::png};
  int64_t compressed = 0;
  int stored_bits = 0, stored_channels = 0;
  bool ended = false;
  for (size_t at = 8; !ended;) {
    const size_t length = read_big32(file, at);
    const Bytes type = file.subspan(at + 4, std::min<size_t>(4, file.size() - at - 4));
    check(file.size() - at >= 12 && length <= file.size() - at - 12,
          "the PNG ends early: a chunk of ", length, " bytes does not fit in the file");
    const Bytes data = file.subspan(at + 8, length);
    check(crc32_of(file.subspan(at + 4, length + 4)) == read_big32(file, at + 8 + length),
          "the PNG is damaged: wrong checksum in the chunk at byte ", at);
    if (at == 8) {
      check(starts_with(type, "IHDR") && length == 13, "a PNG without its header chunk");
      header.width = read_big32(data, 0);
      header.height = read_big32(data, 4);
      stored_bits = byte_at(data, 8);
      const int color = byte_at(data, 9);
      constexpr int kChannels[] = {1, 0, 3, 1, 2, 0, 4};
      check(color <= 6 && kChannels[color] != 0, "unknown PNG colour type ", color);
      stored_channels = kChannels[color];
      header.channels = color == 3 ? 3 : stored_channels;
      header.bits = stored_bits == 16 ? 16 : 8;
    }
    if (starts_with(type, "eXIf")) header.orientation = exif_orientation(data);
    if (starts_with(type, "IDAT")) compressed += int64_t(length);
    ended = starts_with(type, "IEND");
    at += 12 + length;
  }
  // Deflate spends at least one bit on 129 bytes: a length code for 258 and its distance code.
  constexpr double kDeflateMaximum = 1032;
  const double raw =
      double(header.height) * double(header.width) * stored_channels * stored_bits / 8;
  check(raw <= kDeflateMaximum * double(compressed), "the PNG declares ", header.width, " x ",
        header.height, " pixels, more than its ", compressed, " bytes of data can hold");
  return header;
}

// Uncompressed BMP only, as stb_image reads. Source: Microsoft, "Bitmap Storage".
static ImageHeader bmp_header(Bytes file) {
  ImageHeader header{.format = ImageFormat::bmp};
  const size_t offset = read_little32(file, 10), kind = read_little32(file, 14);
  const bool core = kind == 12;
  check(core || kind >= 40, "unknown BMP header of ", kind, " bytes");
  header.width = core ? read_little16(file, 18) : int32_t(read_little32(file, 18));
  header.height = core ? read_little16(file, 20) : int32_t(read_little32(file, 22));
  const uint32_t bits = read_little16(file, core ? 24 : 28);
  const uint32_t compression = core ? 0 : read_little32(file, 30);
  check(compression == 0 || compression == 3, "compressed BMP is not supported; convert it to PNG");
  header.height = std::abs(header.height);  // negative: rows run from the top
  check(header.width > 0, "a BMP of width ", header.width);
  const int64_t row = (header.width * bits + 31) / 32 * 4;
  // The padding of the last row is often left out.
  check(double(row) * double(header.height) - 3 <= double(file.size()) - double(offset),
        "the BMP ends early: ", file.size(), " bytes for ", header.width, " x ", header.height,
        " pixels of ", bits, " bits");
  return header;
}

// Whether run-length packets from `at` fill `pixels` pixels. Source: Truevision TGA 2.0, p. 24.
static bool tga_packets_fill(Bytes file, size_t at, size_t pixel_bytes, int64_t pixels) {
  while (pixels > 0) {
    if (at >= file.size()) return false;
    const int packet = byte_at(file, at);
    const int count = (packet & 127) + 1;
    at += 1 + (packet & 128 ? pixel_bytes : pixel_bytes * size_t(count));
    pixels -= count;
  }
  return at <= file.size();
}

// TGA has no signature, so this is also the test for one.
static bool is_tga(Bytes file) {
  if (file.size() < 18) return false;
  const int mapped = byte_at(file, 1), type = byte_at(file, 2), bits = byte_at(file, 16);
  const bool known_bits = bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32;
  if (mapped == 1) return (type == 1 || type == 9) && (bits == 8 || bits == 16);
  return mapped == 0 && (type == 2 || type == 3 || type == 10 || type == 11) && known_bits;
}

static ImageHeader tga_header(Bytes file) {
  ImageHeader header{.format = ImageFormat::tga};
  header.width = read_little16(file, 12);
  header.height = read_little16(file, 14);
  const int type = byte_at(file, 2);
  header.channels = (type & 3) == 3 ? 1 : 3;
  const size_t pixel_bytes = size_t(byte_at(file, 16) + 7) / 8;
  const size_t palette =
      byte_at(file, 1) == 1 ? read_little16(file, 5) * size_t(byte_at(file, 7) + 7) / 8 : 0;
  const size_t data = 18 + size_t(byte_at(file, 0)) + palette;
  const int64_t pixels = header.height * header.width;
  const bool whole = type >= 8 ? tga_packets_fill(file, data, pixel_bytes, pixels)
                               : data + size_t(pixels) * pixel_bytes <= file.size();
  check(whole, "the TGA ends early: ", file.size(), " bytes for ", header.width, " x ",
        header.height, " pixels");
  return header;
}

// The next decimal number of a PNM header, after white space and comments.
static uint32_t pnm_number(Bytes file, size_t& at) {
  for (;; ++at) {
    if (byte_at(file, at) == '#')
      while (byte_at(file, at) != '\n') ++at;
    else if (!std::isspace(byte_at(file, at)))
      break;
  }
  check(std::isdigit(byte_at(file, at)), "the PNM header has no number at byte ", at);
  uint32_t value = 0;
  for (; std::isdigit(byte_at(file, at)); ++at) {
    value = value * 10 + uint32_t(byte_at(file, at) - '0');
    check(value < 100'000'000, "the PNM header has an absurd number at byte ", at);
  }
  return value;
}

// Binary grey and colour maps. Source: Netpbm, "pgm" and "ppm" format pages.
static ImageHeader pnm_header(Bytes file) {
  ImageHeader header{.format = ImageFormat::pnm, .channels = starts_with(file, "P5") ? 1 : 3};
  size_t at = 2;
  header.width = pnm_number(file, at);
  header.height = pnm_number(file, at);
  header.max_value = pnm_number(file, at);
  check(header.max_value >= 1 && header.max_value <= 65535, "the PNM maximum is ", header.max_value,
        ", but must be 1 to 65535");
  header.bits = header.max_value > 255 ? 16 : 8;
  header.data_offset = at + 1;  // exactly one white space
  const double needed =
      double(header.height) * double(header.width) * header.channels * header.bits / 8;
  check(needed <= double(file.size()) - double(header.data_offset),
        "the PNM ends early: ", file.size(), " bytes for ", header.width, " x ", header.height,
        " pixels of ", header.bits, " bits");
  return header;
}

static ImageHeader parse_header(Bytes file) {
  check(!file.empty(), "the file is empty");
  if (starts_with(file, "\xff\xd8\xff")) return jpeg_header(file);
  if (starts_with(file, "\x89PNG\r\n\x1a\n")) return png_header(file);
  if (starts_with(file, "BM")) return bmp_header(file);
  if (starts_with(file, "P5") || starts_with(file, "P6")) return pnm_header(file);
  struct Other {
    std::string_view name, magic;
    size_t offset = 0;
  };
  constexpr Other kOthers[] = {{"GIF", "GIF8"},
                               {"TIFF", "II*"},
                               {"TIFF", {"MM\0*", 4}},
                               {"WebP", "WEBP", 8},
                               {"HEIF or AVIF", "ftyp", 4},
                               {"PSD", "8BPS"},
                               {"Radiance HDR", "#?"},
                               {"OpenEXR", "v/1\x01"},
                               {"JPEG 2000", "jP  ", 4},
                               {"JPEG XL", "JXL ", 4},
                               {"PDF", "%PDF"},
                               {"text PNM", "P2"},
                               {"text PNM", "P3"}};
  for (const Other& other : kOthers)
    check(!starts_with(file.subspan(std::min(other.offset, file.size())), other.magic), other.name,
          " is not supported; convert it to PNG or JPEG");
  check(is_tga(file), "not a picture in a known format (JPEG, PNG, BMP, TGA, PGM, PPM)");
  return tga_header(file);
}

ImageHeader read_image_header(Bytes file) {
  const ImageHeader header = parse_header(file);
  check(header.height > 0 && header.width > 0, "the picture is empty: ", header.width, " x ",
        header.height, " pixels");
  check(header.height <= INT32_MAX && header.width <= INT32_MAX,
        "the picture is too large: ", header.width, " x ", header.height, " pixels");
  return header;
}

}  // namespace fathom
