#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fathom {

enum class ImageFormat { jpeg, png, bmp, tga, pnm };

/// What a file says about its picture before any of it is decoded. Sizes are as stored, before
/// the orientation is applied; `channels` and `bits` are those of a decoded pixel.
struct ImageHeader {
  ImageFormat format;
  int64_t height = 0, width = 0;
  int channels = 3, bits = 8, orientation = 1;
  size_t data_offset = 0;    // PNM: first byte of the pixels
  uint32_t max_value = 255;  // PNM: the value that means white
};

/// Recognises the format by content and reads its header. Checks everything that can be known
/// without decoding: that the pixels an uncompressed file declares are there, that a PNG's chunks
/// are whole with right checksums, that run-length packets fill the picture, that deflate could
/// yield as much as is declared. Allocates nothing. Throws Error with the reason, not the name.
ImageHeader read_image_header(std::span<const std::byte> file);

}  // namespace fathom
