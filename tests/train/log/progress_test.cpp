#include "train/log/progress.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

TEST_CASE("progress: says loss, rate, wait and time left on one line") {
  CHECK(progress_text({.step = 120,
                       .steps = 4000,
                       .loss = 0.12345,
                       .lr = 4.9e-6,
                       .images_per_second = 35.12,
                       .data_wait = 0.021,
                       .seconds_left = 760}) ==
        "step 120/4000  loss 0.1235  lr 4.9e-06  35.1 images/s  data 2%  ETA 0:12:40");
  CHECK_THAT(progress_text({.images_per_second = 1234.5, .skipped_steps = 3}),
             Catch::Contains("1234 images/s") && Catch::EndsWith("skipped 3"));
}

TEST_CASE("progress: clocks of hours, of nothing, and of what nobody knows") {
  CHECK(clock_text(0) == "0:00:00");
  CHECK(clock_text(3723.4) == "1:02:03");
  CHECK(clock_text(-5) == "0:00:00");
  CHECK(clock_text(INFINITY) == "?");
}

}  // namespace fathom
