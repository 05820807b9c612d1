#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/image_header.h"

namespace fathom::codec {

/// The decoders behind core/image.h. Each returns the pixels as stored, row-major [height, width,
/// channels], with the size that the header declares; each throws Error with the reason alone.

/// libjpeg-turbo. Always RGB.
std::vector<uint8_t> decode_jpeg(std::span<const std::byte> file, const ImageHeader& header);

/// libdeflate: a grey or RGB PNG of 8 or 16 bits that is not interlaced, header.channels of it.
/// Nothing where it is another kind, its data are odd or damaged, or the build lacks libdeflate:
/// decode_stb decides, with the same pixels.
std::optional<std::vector<uint8_t>> decode_png(std::span<const std::byte> file,
                                               const ImageHeader& header);
std::optional<std::vector<uint16_t>> decode_png16(std::span<const std::byte> file,
                                                  const ImageHeader& header);

/// stb_image: PNG, BMP, TGA. `channels` is 1 or 3; alpha is dropped, 16 bits become 8.
std::vector<uint8_t> decode_stb(std::span<const std::byte> file, const ImageHeader& header,
                                int channels);

/// stb_image: a PNG of 16 bits, as `channels` 1 or 3.
std::vector<uint16_t> decode_stb16(std::span<const std::byte> file, const ImageHeader& header,
                                   int channels);

/// The samples of a binary PGM or PPM as stored.
std::vector<uint16_t> decode_pnm(std::span<const std::byte> file, const ImageHeader& header);

}  // namespace fathom::codec
