#pragma once

#include <chrono>
#include <string>

namespace fathom::cli {

/// One line on stderr that says how a run goes: redrawn on a terminal, otherwise a plain line at
/// most every `pause_s` seconds.
class StatusLine {
 public:
  explicit StatusLine(bool quiet, double pause_s = 2);
  /// last: shown whatever the time.
  void update(const std::string& text, bool last = false);
  /// A line of its own, also when quiet.
  void note(const std::string& text);
  /// Ends the redrawn line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  bool quiet_, terminal_, drawn_ = false, shown_ = false;
  double pause_s_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace fathom::cli
