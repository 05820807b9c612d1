#include "core/bytes.h"
#include "core/image_codec.h"

namespace fathom::codec {

std::vector<uint16_t> decode_pnm(Bytes file, const ImageHeader& header) {
  const size_t count = size_t(header.height * header.width) * size_t(header.channels);
  const Bytes data = file.subspan(header.data_offset, count * size_t(header.bits) / 8);
  std::vector<uint16_t> samples(count);
  if (header.bits == 8)
    for (size_t i = 0; i < count; ++i) samples[i] = uint16_t(data[i]);
  else
    for (size_t i = 0; i < count; ++i)
      samples[i] = uint16_t(uint16_t(data[2 * i]) << 8 | uint16_t(data[2 * i + 1]));
  return samples;
}

}  // namespace fathom::codec
