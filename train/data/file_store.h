#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace fathom {

/// The bytes of a file or of a member of an archive, and what keeps them in memory.
struct FileBytes {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

/// Opens files below a folder by name: "photos/a.jpg", a member of a tar archive as
/// "shard-000.tar:a.jpg", and of an archive within one as "all.tar:n01440764.tar:a.JPEG". An
/// archive is indexed when it is first asked for and stays mapped; any thread may open.
class FileStore {
 public:
  explicit FileStore(std::filesystem::path root);
  ~FileStore();
  /// Throws Error naming the file: missing, no such member, damaged archive.
  FileBytes open(std::string_view name) const;
  const std::filesystem::path& root() const { return root_; }

 private:
  struct Archive;
  std::shared_ptr<const Archive> archive(std::string_view name) const;
  std::filesystem::path root_;
  mutable std::recursive_mutex mutex_;  // guards the cache, which a const open() fills
  mutable std::map<std::string, std::shared_ptr<const Archive>, std::less<>> archives_;
};

}  // namespace fathom
