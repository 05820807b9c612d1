#pragma once

#include <chrono>

#include "train/infer/run.h"

namespace fathom::cli {

/// Shows how a run goes on stderr: one line that is redrawn on a terminal, a plain line every two
/// seconds otherwise. Failures are printed as they come, and nothing else when quiet.
class Progress {
 public:
  explicit Progress(bool quiet);
  void update(const InferReport& report);
  /// Ends the redrawn line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now(), last_ = start_;
  bool quiet_, terminal_, drawn_ = false;
  size_t failures_shown_ = 0;
  int64_t done_shown_ = 0;
};

}  // namespace fathom::cli
