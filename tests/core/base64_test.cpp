#include "core/base64.h"

#include "tests/testing.h"

namespace fathom {

TEST_CASE("base64: the examples of the standard, and every kind of byte") {
  const auto encoded = [](std::string_view text) {
    return base64_of(std::as_bytes(std::span(text)));
  };
  CHECK(encoded("") == "");
  CHECK(encoded("f") == "Zg==");
  CHECK(encoded("fo") == "Zm8=");
  CHECK(encoded("foo") == "Zm9v");
  CHECK(encoded("foobar") == "Zm9vYmFy");
  CHECK(encoded("\xfb\xff\xbe") == "+/++");
}

}  // namespace fathom
