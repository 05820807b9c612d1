#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

/// The regular files of a tar archive in memory: v7, ustar, GNU (long names, sizes in base 256) and
/// pax (path, size). Costs 16 bytes a member; names stay in the archive.
/// Source: POSIX.1-2001, "pax Interchange Format"; GNU tar manual, "Basic Tar Format".
class TarIndex {
 public:
  /// Walks all headers once. `name` is for messages. Throws Error for a wrong checksum, a member
  /// beyond the end, a compressed archive.
  TarIndex(std::span<const std::byte> archive, const std::string& name);

  /// The bytes of a member, or nothing. A leading "./" does not count. Of several members of one
  /// name the last is taken, as tar does when it unpacks.
  std::optional<std::span<const std::byte>> find(std::string_view member) const;
  size_t size() const { return slots_.size(); }
  /// All names, in the order of the archive.
  std::vector<std::string> names() const;

 private:
  struct Slot {
    uint64_t hash, header;  // of the name; where the member's first header is
  };
  std::span<const std::byte> archive_;
  std::string name_;
  std::vector<Slot> slots_;  // sorted by hash, then header
};

}  // namespace fathom
