#include "core/exif.h"

#include <string>

#include "core/bytes.h"
#include "tests/testing.h"

namespace fathom {

static Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// One directory at byte 8 with one other entry before the orientation.
static std::string tiff(bool little, char orientation) {
  if (little)
    return std::string("II*\0\x08\0\0\0\x02\0", 10) +
           std::string("\x0f\x01\x02\0\x01\0\0\0AAAA", 12) +
           std::string("\x12\x01\x03\0\x01\0\0\0", 8) + orientation + std::string(7, '\0');
  return std::string("MM\0*\0\0\0\x08\0\x02", 10) +
         std::string(
             "\x01\x0f\0\x02\0\0\0\x01"
             "AAAA",
             12) +
         std::string("\x01\x12\0\x03\0\0\0\x01\0", 9) + orientation + std::string(6, '\0');
}

TEST_CASE("exif: finds the orientation in both byte orders") {
  for (char orientation = 1; orientation <= 8; ++orientation) {
    CHECK(exif_orientation(bytes_of(tiff(true, orientation))) == orientation);
    CHECK(exif_orientation(bytes_of(tiff(false, orientation))) == orientation);
  }
}

TEST_CASE("exif: damage means upright") {
  const std::string whole = tiff(true, 6);
  for (size_t length = 0; length < 32; ++length) {
    CAPTURE(length);
    CHECK(exif_orientation(bytes_of(whole.substr(0, length))) == 1);
  }
  CHECK(exif_orientation(bytes_of(tiff(true, 0))) == 1);
  CHECK(exif_orientation(bytes_of(tiff(true, 9))) == 1);
  std::string far = whole;
  far.replace(4, 4, "\xff\xff\xff\xff");  // the directory lies beyond the end
  CHECK(exif_orientation(bytes_of(far)) == 1);
  std::string other = whole;
  other[2] = 43;  // BigTIFF
  CHECK(exif_orientation(bytes_of(other)) == 1);
}

}  // namespace fathom
