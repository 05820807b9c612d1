#pragma once

#include <cstdint>
#include <string>

namespace fathom {

/// Where a run stands, for the person who watches it.
struct TrainProgress {
  int64_t step = 0, steps = 0;
  double loss = 0, lr = 0;  // the encoder's
  double images_per_second = 0;
  double data_wait = 0;  // share of the time spent waiting for the loader
  double seconds_left = 0;
  int64_t skipped_steps = 0;  // not finite, or outliers
};

/// "step 120/4000  loss 0.1234  lr 4.9e-06  35.1 images/s  data 2%  ETA 0:12:40".
std::string progress_text(const TrainProgress& progress);

/// "1:02:03" of seconds.
std::string clock_text(double seconds);

}  // namespace fathom
