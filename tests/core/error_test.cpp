#include "core/error.h"

#include <string_view>

#include "core/dtype.h"
#include "core/shape.h"
#include "tests/testing.h"

namespace fathom {

TEST_CASE("error: parts are printed in order") {
  CHECK_THROWS_WITH(check(false, "gamma must be ", Shape{384}, ", but is ", DType::bf16, ' ', 1.5),
                    "gamma must be [384], but is bf16 1.5");
  CHECK_THROWS_WITH(fail("at ", 7, " of ", std::string("nine")), "at 7 of nine");
  CHECK_THROWS_WITH(fail("words alone"), "words alone");
  CHECK_NOTHROW(check(true, "never"));
}

TEST_CASE("error: where() is the line of the check or fail") {
  int line = 0;
  try {
    line = __LINE__ + 1;
    check(1 + 1 == 3, "arithmetic");
  } catch (const Error& error) {
    CHECK(error.where().line() == unsigned(line));
    CHECK(std::string_view(error.where().file_name()).ends_with("error_test.cpp"));
  }
  try {
    line = __LINE__ + 1;
    fail("value ", 3);
  } catch (const Error& error) {
    CHECK(error.where().line() == unsigned(line));
    CHECK(std::string_view(error.where().file_name()).ends_with("error_test.cpp"));
  }
}

TEST_CASE("error: is a runtime_error, so that callers without our types see the words") {
  CHECK_THROWS_AS(fail("x"), std::runtime_error);
}

}  // namespace fathom
