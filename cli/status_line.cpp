#include "cli/status_line.h"

#include <unistd.h>

#include <cstdio>

namespace fathom::cli {

StatusLine::StatusLine(bool quiet, double pause_s)
    : quiet_(quiet), terminal_(::isatty(STDERR_FILENO)), pause_s_(pause_s) {}

void StatusLine::update(const std::string& text, bool last) {
  if (quiet_) return;
  const auto now = Clock::now();
  const double pause = std::chrono::duration<double>(now - last_).count();
  if (shown_ && !last && pause < (terminal_ ? 0.1 : pause_s_)) return;
  last_ = now;
  shown_ = true;
  drawn_ = terminal_;
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
  std::fflush(stderr);
}

void StatusLine::note(const std::string& text) {
  finish();
  std::fprintf(stderr, "fathom: %s\n", text.c_str());
}

void StatusLine::finish() {
  if (drawn_) std::fprintf(stderr, "\n");
  drawn_ = false;
}

}  // namespace fathom::cli
