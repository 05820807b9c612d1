#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace fathom::cuda {

/// How a library was asked to compute something, by shape and device: found once, kept in memory,
/// and in a file between runs when a folder is named. The key says everything that the plan depends
/// on, the device and the library's version too. Safe to use from several threads.
class PlanCache {
 public:
  /// name: of the file, "<folder>/<name>.txt".
  explicit PlanCache(std::string name) : name_(std::move(name)) {}

  /// The bytes kept for a key.
  std::optional<std::string> find(const std::string& key);
  /// Keeps them. A file that cannot be written is no error: plans are found again.
  void insert(const std::string& key, const std::string& bytes);

  /// The folder of the files of every cache, made if it is missing; an empty path, as at the start,
  /// keeps plans in memory only. A file that does not read as one of ours is ignored and replaced.
  static void set_folder(const std::filesystem::path& folder);

 private:
  void read();
  void write() const;
  std::mutex mutex_;
  std::string name_;
  std::filesystem::path file_;  // that plans_ were read from
  std::map<std::string, std::string> plans_;
};

}  // namespace fathom::cuda
