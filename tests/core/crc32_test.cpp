#include "core/crc32.h"

#include <string>

#include "tests/testing.h"

namespace fathom {

static uint32_t crc32_of(const std::string& text) {
  return crc32_of(std::as_bytes(std::span(text)));
}

// The definition: long division, bit by bit.
static uint32_t reference(const std::string& text) {
  uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= uint8_t(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  return ~crc;
}

TEST_CASE("crc32: the check value of the catalogue, and of an empty PNG chunk") {
  CHECK(crc32_of("123456789") == 0xcbf43926u);
  CHECK(crc32_of("IEND") == 0xae426082u);
  CHECK(crc32_of("") == 0);
}

TEST_CASE("crc32: equals long division at every length") {
  std::string text;
  for (int i = 0; i < 70; ++i) {
    CAPTURE(i);
    CHECK(crc32_of(text) == reference(text));
    text += char(i * 37 + 11);
  }
}

}  // namespace fathom
