#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fathom {

/// A file mapped for reading. Pages are clean, so the kernel may drop and re-read them at will.
class MappedFile {
 public:
  /// Throws Error when the file is missing, unreadable or not a regular file. Empty is fine.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }
  /// Tells the kernel that these bytes (a part of bytes()) are not needed for now.
  void drop(std::span<const std::byte> part) const;

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// Writes a file whole or not at all: everything goes to a temporary neighbour, and commit()
/// syncs it and renames it over the target, which must be a regular file or absent. Without
/// commit() the destructor removes it.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws Error with the system's reason, for example a full disk.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  int descriptor_ = -1, slot_ = -1;
};

/// A text file, whole or not at all: an AtomicFile of one piece.
void write_text(const std::filesystem::path& path, std::string_view text);

/// Removes what unfinished AtomicFiles left so far. Async-signal-safe: for a handler of SIGINT.
void remove_unfinished_files() noexcept;

/// The whole file as a string; for small text files. Throws Error above `limit_bytes`.
std::string read_text(const std::filesystem::path& path, int64_t limit_bytes = 64 << 20);

}  // namespace fathom
