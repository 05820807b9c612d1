#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "train/log/values.h"

namespace fathom {

/// A text file of one JSON object a step: {"step": 10, "time_s": 1.52, "train/loss": 0.12, ...}.
/// Numbers that are not finite are null. Every line is written at once, so that a killed run leaves
/// whole lines.
class JsonLog {
 public:
  /// Appends to a file, of which lines after `last_step` are removed first: a run that goes on from
  /// a checkpoint repeats them.
  JsonLog(std::filesystem::path path, int64_t last_step);
  ~JsonLog();
  JsonLog(const JsonLog&) = delete;
  JsonLog& operator=(const JsonLog&) = delete;

  /// time_s: seconds of work so far, of all sessions of the run.
  void write(int64_t step, double time_s, const LogValues& values);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// A line of the log.
struct LogLine {
  int64_t step = 0;
  double time_s = 0;
  LogValues values;  // finite numbers only
};

/// Every whole line of a log; a missing file has none. Throws Error for a line that is not one,
/// unless it is the last and has no end.
std::vector<LogLine> read_json_log(const std::filesystem::path& path);

}  // namespace fathom
