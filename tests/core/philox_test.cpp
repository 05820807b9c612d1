#include "core/philox.h"

#include <cmath>
#include <numbers>

#include "tests/testing.h"

namespace fathom {

static bool equal(const Philox4& a, const Philox4& b) {
  return std::equal(std::begin(a.word), std::end(a.word), std::begin(b.word));
}

// The known answers that Random123 publishes for philox4x32-10 (its file kat_vectors).
TEST_CASE("philox: the published answers") {
  CHECK(
      equal(philox4x32({{0, 0, 0, 0}}, 0, 0), {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}));
  CHECK(equal(philox4x32({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u),
              {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}));
  CHECK(
      equal(philox4x32({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0),
            {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
}

TEST_CASE("philox: key and counter are little-endian words") {
  const uint64_t key = 0x0123456789abcdef, counter = 0xfedcba9876543210;
  CHECK(equal(philox(key, counter),
              philox4x32({{0x76543210, 0xfedcba98, 0, 0}}, 0x89abcdef, 0x01234567)));
  CHECK_FALSE(equal(philox(key, counter), philox(key, counter + 1)));
  CHECK_FALSE(equal(philox(key, counter), philox(key + (uint64_t(1) << 32), counter)));
}

TEST_CASE("philox: uniform values are multiples of 2^-24 in [0, 1)") {
  CHECK(uniform_from(0) == 0);
  CHECK(uniform_from(0xff) == 0);
  CHECK(uniform_from(0x100) == 0x1p-24f);
  CHECK(uniform_from(~0u) == 1 - 0x1p-24f);
}

TEST_CASE("philox: an interval is half open whatever the rounding") {
  CHECK(uniform_between(0, -2, 3) == -2);
  CHECK(uniform_between(0x80000000u, -2, 4) == 1);
  // 1024 + (1 - 2^-24) rounds to 1025: it wraps to the other end.
  CHECK(uniform_between(~0u, 1024, 1025) == 1024);
  CHECK(uniform_between(~0u, 0, 1) == 1 - 0x1p-24f);
}

// Against the definition (Box and Muller) in double, at the ends and at random. Relative to the
// radius: its logarithm has about three roundings and an error of 3e-9 cut off, halved by the root,
// which adds one half; the angle has one rounding of at most pi/4, sine and cosine two or three
// more, the product half: together below 4 epsilon.
TEST_CASE("philox: normal values are what the formula says") {
  double worst = 0;
  const auto compare = [&](uint32_t a, uint32_t b) {
    float first, second;
    normals_from(a, b, &first, &second);
    const double u = double((a >> 8) + 1) * 0x1p-24, v = double(b >> 8) * 0x1p-24;
    const double radius = std::sqrt(-2 * std::log(u)), angle = 2 * std::numbers::pi * v;
    const double scale = radius > 0 ? radius : 1;
    worst = std::max(worst, std::fabs(first - radius * std::cos(angle)) / scale);
    worst = std::max(worst, std::fabs(second - radius * std::sin(angle)) / scale);
  };
  const uint32_t ends[] = {0,          1u << 8,    ~0u,        ~0u << 9,   0x7fffffff, 0x80000000,
                           0x1fffffff, 0x20000000, 0x40000000, 0x60000000, 0xc0000000, 0xdfffffff,
                           0xe0000000, 0xb504f300, 0xb504f200, 0x5a827900};
  for (const uint32_t a : ends)
    for (const uint32_t b : ends) compare(a, b);
  for (uint64_t i = 0; i < 100000; ++i) {
    const Philox4 words = philox(5, i);
    compare(words.word[0], words.word[1]);
    compare(words.word[2], words.word[3]);
  }
  CHECK(worst < 4 * 0x1p-23);
}

}  // namespace fathom
