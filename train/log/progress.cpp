#include "train/log/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace fathom {

std::string clock_text(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const auto s = static_cast<long long>(std::llround(std::clamp(seconds, 0.0, 1e15)));
  char text[40];
  std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  return text;
}

std::string progress_text(const TrainProgress& p) {
  char text[200];
  std::snprintf(text, sizeof text,
                "step %lld/%lld  loss %.4f  lr %.2g  %.*f images/s  data %.0f%%  ETA %s",
                static_cast<long long>(p.step), static_cast<long long>(p.steps), p.loss, p.lr,
                p.images_per_second < 100 ? 1 : 0, p.images_per_second, 100 * p.data_wait,
                clock_text(p.seconds_left).c_str());
  std::string line = text;
  if (p.skipped_steps > 0) line += "  skipped " + std::to_string(p.skipped_steps);
  return line;
}

}  // namespace fathom
