#include "core/hash.h"

#include "tests/testing.h"

namespace fathom {

TEST_CASE("hash: XXH3 of known texts, in one piece and in many") {
  // From `printf abc | xxhsum -H128`, and of nothing.
  CHECK(Hash128().hex() == "99aa06d3014798d86001c324468d497f");
  Hash128 whole, pieces;
  whole.update("abc");
  CHECK(whole.hex() == "06b05ab6733a618578af5f94892f3950");
  for (const char* piece : {"a", "", "bc"}) pieces.update(piece);
  CHECK(pieces.hex() == whole.hex());
  CHECK(whole.hex() == whole.hex());  // asking changes nothing
}

}  // namespace fathom
