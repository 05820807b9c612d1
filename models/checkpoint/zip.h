#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

/// The directory of a zip archive in memory, ZIP64 included. Records are found by name and read in
/// place, so only stored (uncompressed) ones can be read.
class ZipDirectory {
 public:
  /// path is for messages. Throws Error when the directory is damaged or names a record twice.
  ZipDirectory(std::span<const std::byte> bytes, const std::string& path);

  struct Record {
    std::string_view name;  // points into the archive
    uint64_t size, compressed_size, header_offset;
    uint16_t method, flags;
    uint32_t crc32;
  };
  /// Sorted by name.
  const std::vector<Record>& records() const { return records_; }
  /// The name of the record that the directory lists first.
  std::string_view first_name() const { return first_name_; }
  const Record* find(std::string_view name) const;
  /// The bytes of a record. Throws Error if it is compressed, encrypted or outside the file.
  std::span<const std::byte> read(const Record& record) const;
  /// The bytes of a record as the archive holds them, compressed or not.
  std::span<const std::byte> compressed(const Record& record) const;

 private:
  void read_directory(uint64_t offset, uint64_t size, uint64_t count);

  std::span<const std::byte> bytes_;
  std::string path_;
  std::string_view first_name_;
  std::vector<Record> records_;
};

}  // namespace fathom
