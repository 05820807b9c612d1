#include "cli/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace fathom::cli {

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(::isatty(STDERR_FILENO)) {}

void Progress::update(const InferReport& report) {
  for (; failures_shown_ < report.failures.size(); ++failures_shown_) {
    if (drawn_) std::fprintf(stderr, "\r\033[K");
    drawn_ = false;
    const auto& [photo, reason] = report.failures[failures_shown_];
    const std::string line = reason.starts_with(photo) ? reason : photo + ": " + reason;
    std::fprintf(stderr, "fathom: %s\n", line.c_str());
  }
  if (quiet_) return;
  const auto now = Clock::now();
  const int64_t done = report.written + int64_t(report.failures.size());
  const bool last = done == report.photos;
  if (!terminal_ && !last && now - last_ < std::chrono::seconds(2)) return;
  if (done == done_shown_) return;
  done_shown_ = done;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = double(report.written) / std::max(seconds, 1e-9);
  const double left = rate > 0 ? double(report.photos - done) / rate : 0;
  constexpr int kWidth = 24;
  const int filled =
      int(double(kWidth) * double(done) / double(std::max<int64_t>(1, report.photos)));
  char bar[kWidth + 1] = {};
  for (int i = 0; i < kWidth; ++i) bar[i] = i < filled ? '#' : '.';
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K[%s] %lld/%lld  %.2f images/s  ETA %d:%02d", bar,
                 static_cast<long long>(done), static_cast<long long>(report.photos), rate,
                 int(left) / 60, int(left) % 60);
    drawn_ = true;
  } else {
    std::fprintf(stderr, "%lld/%lld photos, %.2f images/s, %d s left\n",
                 static_cast<long long>(done), static_cast<long long>(report.photos), rate,
                 int(std::ceil(left)));
  }
  std::fflush(stderr);
}

void Progress::finish() {
  if (drawn_) std::fprintf(stderr, "\n");
  drawn_ = false;
}

}  // namespace fathom::cli
