#include "models/checkpoint/zip.h"

#include <algorithm>

#include "models/checkpoint/bytes.h"

namespace fathom {

// PKWARE APPNOTE 6.3: signatures and the fixed parts of the records.
constexpr uint32_t kEnd = 0x06054b50, kLocator64 = 0x07064b50, kEnd64 = 0x06064b50;
constexpr uint32_t kCentral = 0x02014b50, kLocal = 0x04034b50;
constexpr uint64_t kEndSize = 22, kLocatorSize = 20, kEnd64Size = 56, kCentralSize = 46,
                   kLocalSize = 30;
constexpr const char* kDamaged = "; the file is damaged or incomplete: download or copy it again";

// The end record stands last, before a comment of at most 65535 bytes.
static uint64_t find_end(std::span<const std::byte> bytes, const std::string& path) {
  check(bytes.size() >= kEndSize, path, ": a zip archive of ", bytes.size(), " bytes", kDamaged);
  const uint64_t last = bytes.size() - kEndSize;
  const uint64_t first = last > 65535 ? last - 65535 : 0;
  for (uint64_t at = last + 1; at-- > first;)
    if (little_endian<uint32_t>(bytes, at) == kEnd &&
        little_endian<uint16_t>(bytes, at + 20) == bytes.size() - at - kEndSize)
      return at;
  fail(path, ": the zip archive has no end record", kDamaged);
}

ZipDirectory::ZipDirectory(std::span<const std::byte> bytes, const std::string& path)
    : bytes_(bytes), path_(path) {
  const uint64_t end = find_end(bytes, path);
  check(little_endian<uint16_t>(bytes, end + 4) == 0 ||
            little_endian<uint16_t>(bytes, end + 4) == 0xffff,
        path, ": a zip archive in several parts; join them first");
  uint64_t count = little_endian<uint16_t>(bytes, end + 10);
  uint64_t size = little_endian<uint32_t>(bytes, end + 12);
  uint64_t offset = little_endian<uint32_t>(bytes, end + 16);
  if (end >= kLocatorSize && little_endian<uint32_t>(bytes, end - kLocatorSize) == kLocator64) {
    const auto end64 = little_endian<uint64_t>(bytes, end - kLocatorSize + 8);
    check(slice(bytes, end64, kEnd64Size).has_value() &&
              little_endian<uint32_t>(bytes, end64) == kEnd64,
          path, ": no ZIP64 end record at offset ", end64, kDamaged);
    count = little_endian<uint64_t>(bytes, end64 + 32);
    size = little_endian<uint64_t>(bytes, end64 + 40);
    offset = little_endian<uint64_t>(bytes, end64 + 48);
  }
  read_directory(offset, size, count);
}

// A size or offset of 0xffffffff stands as 64 bits in extra field 1, in this order.
static void read_zip64_field(std::span<const std::byte> extra, ZipDirectory::Record& record) {
  uint64_t* const wide[] = {&record.size, &record.compressed_size, &record.header_offset};
  if (std::ranges::none_of(wide, [](const uint64_t* v) { return *v == 0xffffffff; })) return;
  while (extra.size() >= 4) {
    const auto field = slice(extra, 4, little_endian<uint16_t>(extra, 2));
    if (!field) break;
    if (little_endian<uint16_t>(extra, 0) == 1) {
      uint64_t at = 0;
      for (uint64_t* value : wide) {
        if (*value != 0xffffffff) continue;
        if (field->size() < at + 8) break;
        *value = little_endian<uint64_t>(*field, at);
        at += 8;
      }
      return;
    }
    extra = extra.subspan(4 + field->size());
  }
}

void ZipDirectory::read_directory(uint64_t offset, uint64_t size, uint64_t count) {
  const auto directory = slice(bytes_, offset, size);
  check(directory.has_value(), path_, ": the zip directory (offset ", offset, ", ", size,
        " bytes) lies outside the file of ", bytes_.size(), " bytes", kDamaged);
  check(count <= size / kCentralSize, path_, ": the zip directory of ", size, " bytes cannot hold ",
        count, " records", kDamaged);
  records_.reserve(size_t(count));
  std::span<const std::byte> rest = *directory;
  for (uint64_t i = 0; i < count; ++i) {
    check(rest.size() >= kCentralSize && little_endian<uint32_t>(rest, 0) == kCentral, path_,
          ": zip directory record ", i, " of ", count, " is not one", kDamaged);
    const uint64_t name_size = little_endian<uint16_t>(rest, 28);
    const uint64_t extra_size = little_endian<uint16_t>(rest, 30);
    const uint64_t total =
        kCentralSize + name_size + extra_size + little_endian<uint16_t>(rest, 32);
    check(total <= rest.size(), path_, ": zip directory record ", i, " of ", count,
          " runs past the directory", kDamaged);
    Record record{.name = as_text(rest.subspan(kCentralSize, name_size)),
                  .size = little_endian<uint32_t>(rest, 24),
                  .compressed_size = little_endian<uint32_t>(rest, 20),
                  .header_offset = little_endian<uint32_t>(rest, 42),
                  .method = little_endian<uint16_t>(rest, 10),
                  .flags = little_endian<uint16_t>(rest, 8),
                  .crc32 = little_endian<uint32_t>(rest, 16)};
    read_zip64_field(rest.subspan(kCentralSize + name_size, extra_size), record);
    if (i == 0) first_name_ = record.name;
    records_.push_back(record);
    rest = rest.subspan(total);
  }
  std::ranges::sort(records_, {}, &Record::name);
  const auto twin = std::ranges::adjacent_find(records_, {}, &Record::name);
  if (twin != records_.end())
    fail(path_, ": the zip archive holds two records named ", shown(twin->name),
         "; refused, as readers would differ");
}

const ZipDirectory::Record* ZipDirectory::find(std::string_view name) const {
  const auto at = std::ranges::lower_bound(records_, name, {}, &Record::name);
  return at != records_.end() && at->name == name ? &*at : nullptr;
}

std::span<const std::byte> ZipDirectory::read(const Record& record) const {
  check(record.method == 0 && record.size == record.compressed_size, path_, ": record ",
        shown(record.name), " is compressed (method ", record.method,
        "); PyTorch stores records plainly: save the checkpoint again with torch.save");
  return compressed(record);
}

std::span<const std::byte> ZipDirectory::compressed(const Record& record) const {
  check((record.flags & 1) == 0, path_, ": record ", shown(record.name), " is encrypted");
  const auto header = slice(bytes_, record.header_offset, kLocalSize);
  check(header && little_endian<uint32_t>(*header, 0) == kLocal, path_,
        ": no local header of record ", shown(record.name), " at offset ", record.header_offset,
        kDamaged);
  // The sizes here are zero (PyTorch writes them behind the data); only the name and extra
  // lengths count, and the extra field differs from the directory's: it aligns the data.
  const uint64_t skip =
      kLocalSize + little_endian<uint16_t>(*header, 26) + little_endian<uint16_t>(*header, 28);
  const auto rest = slice(bytes_, record.header_offset + skip, record.compressed_size);
  check(rest.has_value(), path_, ": record ", shown(record.name), " (offset ", record.header_offset,
        ", ", record.compressed_size, " bytes) runs past the file of ", bytes_.size(), " bytes",
        kDamaged);
  return *rest;
}

}  // namespace fathom
