#include "bench/launches.h"

#include "core/profile.h"
#include "tests/testing.h"

namespace fathom::bench {

// How often an op ran within the windows called "launch", and how many of those there were.
static std::pair<int64_t, int64_t> launched(const LaunchOptions& options, const std::string& op) {
  profile::take();
  profile::resume();
  const Launches done = launch(options);
  profile::pause();
  CHECK(int64_t(done.seconds.size()) == options.launches);
  const profile::Recording recording = profile::take();
  int64_t ops = 0, windows = 0, until_ns = 0;
  for (const profile::Span& span : recording.threads[0].spans) {
    if (span.kind == profile::Span::Kind::window) ++windows, until_ns = span.end_ns;
    if (span.kind == profile::Span::Kind::op && span.end_ns <= until_ns)
      ops += profile::op_name(span.where) == op;
  }
  return {ops, windows};
}

TEST_CASE("launches: exactly so many calls of one op") {
  using Counts = std::pair<int64_t, int64_t>;
  LaunchOptions options{.kernel = "layer_norm", .shape = "S/28x28/b2", .launches = 3};
  CHECK(launched(options, "layer_norm") == Counts{3, 3});
  options.kernel = "layer_norm/backward", options.dtype = DType::bf16;
  CHECK(launched(options, "layer_norm") == Counts{3, 3});
  CHECK(launch(options).name == "layer_norm/backward/S/28x28/b2/bf16");
  options = {.kernel = "bilinear", .shape = "level3/S/28x28/b1", .launches = 1};
  CHECK(launched(options, "interpolate_bilinear") == Counts{1, 1});
  CHECK(launch(options).name == "bilinear/forward/level3/S/28x28/b1/f32");
}

TEST_CASE("launches: what does not exist is refused by name") {
  const auto refuses = [](LaunchOptions options, const std::string& words) {
    CAPTURE(words);
    CHECK_THROWS_WITH(launch(options), Catch::Contains(words));
  };
  refuses({.kernel = "nothing"}, "--kernel nothing: no bench has this name; there are a");
  refuses({.kernel = "attention/sideways"}, "comes /forward or /backward");
  refuses({.kernel = "attention", .shape = "S/518x518"}, "--shape S/518x518: expected model");
  refuses({.kernel = "attention", .shape = "S/518x518/b0"}, "must be a number from 1 to 9999");
  refuses({.kernel = "attention", .shape = "huge/518x518/b1"}, "expected s, b, l or g");
  refuses({.kernel = "bilinear", .shape = "level9/S/28x28/b1"},
          "--shape level9/S/28x28/b1: bilinear has the shapes level4/S/28x28/b1, ");
  refuses({.kernel = "attention", .dtype = DType::f64}, "--dtype f64");
  refuses({.kernel = "attention", .launches = 0}, "--launches must be at least 1");
}

}  // namespace fathom::bench
