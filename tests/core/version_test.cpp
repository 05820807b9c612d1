#include "core/version.h"

#include <regex>

#include "tests/testing.h"

namespace fathom {

TEST_CASE("version: numbers, and one line for each optional part") {
  CHECK(std::regex_match(version(), std::regex("[0-9]+\\.[0-9]+\\.[0-9]+")));
  CHECK_FALSE(revision().empty());
  const std::string summary = build_summary();
  for (const char* part :
       {"compiler: ", "cpu: generic", "jpeg: ", "png: ", "cuda: ", "sanitizers: "})
    CHECK_THAT(summary, Catch::Contains(part));
  CHECK(summary.back() == '\n');
#ifdef FATHOM_CUDA
  CHECK_THAT(summary, Catch::Contains("cuda: compiled with "));
#else
  CHECK_THAT(summary, Catch::Contains("cuda: not in this build"));
#endif
}

}  // namespace fathom
