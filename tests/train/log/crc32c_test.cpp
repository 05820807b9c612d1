#include "train/log/crc32c.h"

#include "tests/testing.h"

namespace fathom {

static uint32_t crc32c(std::string_view text) { return crc32c_of(std::as_bytes(std::span(text))); }

TEST_CASE("crc32c: the published examples") {
  // RFC 3720, appendix B.4, and the check value of the algorithm's catalogue.
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c("") == 0);
}

}  // namespace fathom
