#include "train/nearest_name.h"

#include "tests/testing.h"

namespace fathom {

TEST_CASE("nearest name: the distance counts insertions, deletions, replacements and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("batch", "bacth") == 1);
  CHECK(edit_distance("steps", "epochs") == edit_distance("epochs", "steps"));
}

TEST_CASE("nearest name: a slip of the finger and a key of another section are found") {
  const std::vector<std::string> names{"optimizer.lr", "optimizer.eps", "teacher.batch", "seed"};
  CHECK(nearest_dotted_name("optimizer.lrr", names) == "optimizer.lr");
  CHECK(nearest_dotted_name("optimiser.eps", names) == "optimizer.eps");
  CHECK(nearest_dotted_name("batch", names) == "teacher.batch");
  CHECK(nearest_dotted_name("data.lr", names) == "optimizer.lr");
  CHECK(nearest_dotted_name("sede", names) == "seed");
}

}  // namespace fathom
