#pragma once

#include <filesystem>
#include <string>

#include "train/log/values.h"

namespace fathom {

/// An event file that TensorBoard shows: scalars only. One file a session; a session that goes on
/// from a checkpoint tells TensorBoard to forget the steps it repeats.
/// Source: TensorFlow, core/util/event.proto and core/lib/io/record_writer.cc.
class TensorBoardLog {
 public:
  /// Creates FOLDER/events.out.tfevents.TIME.fathom.N. first_step: the first that this session
  /// will write.
  TensorBoardLog(const std::filesystem::path& folder, int64_t first_step);
  ~TensorBoardLog();
  TensorBoardLog(const TensorBoardLog&) = delete;
  TensorBoardLog& operator=(const TensorBoardLog&) = delete;

  void write(int64_t step, const LogValues& values);
  const std::filesystem::path& path() const { return path_; }

 private:
  void write_event(const std::string& event);
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace fathom
