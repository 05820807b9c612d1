#include "core/exif.h"

#include "core/bytes.h"

namespace fathom {

static int orientation_or_throw(Bytes tiff) {
  const bool little = starts_with(tiff, "II");
  if (!little && !starts_with(tiff, "MM")) return 1;
  const std::endian order = little ? std::endian::little : std::endian::big;
  if (read_uint(tiff, 2, 2, order) != 42) return 1;
  const size_t directory = read_uint(tiff, 4, 4, order);
  const size_t entries = read_uint(tiff, directory, 2, order);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    constexpr uint64_t kOrientation = 0x0112, kShort = 3;
    if (read_uint(tiff, entry, 2, order) != kOrientation) continue;
    if (read_uint(tiff, entry + 2, 2, order) != kShort) return 1;
    const uint64_t value = read_uint(tiff, entry + 8, 2, order);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

int exif_orientation(Bytes tiff) noexcept {
  try {
    return orientation_or_throw(tiff);
  } catch (const Error&) {
    return 1;
  }
}

}  // namespace fathom
