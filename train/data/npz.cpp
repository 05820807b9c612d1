#include "train/data/npz.h"

#include <string>

#include "core/bytes.h"
#include "core/crc32.h"
#include "core/npy.h"
#include "models/checkpoint/bytes.h"
#include "models/checkpoint/zip.h"
#include "train/data/inflate.h"

namespace fathom {

static std::string listed(const ZipDirectory& zip) {
  std::string names;
  for (const ZipDirectory::Record& record : zip.records()) {
    if (names.size() > 200) return names + ", ...";
    names += (names.empty() ? "" : ", ") + shown(record.name);
  }
  return names;
}

static const ZipDirectory::Record& chosen(const ZipDirectory& zip, std::string_view key) {
  check(!zip.records().empty(), "an .npz file without arrays");
  if (key.empty() && zip.records().size() == 1) return zip.records().front();
  const std::string array(key.empty() ? "depth" : key);
  const ZipDirectory::Record* record = zip.find(array + ".npy");
  check(record != nullptr, "no array ", shown(array), "; the file holds ", listed(zip),
        ": name one as the key");
  return *record;
}

FloatMap read_npz(Bytes file, std::string_view name, std::string_view key, int64_t max_values) {
  const ZipDirectory zip(file, std::string(name));
  const auto& record = naming(name, [&]() -> decltype(auto) { return chosen(zip, key); });
  const std::string array = std::string(name) + ": " + shown(record.name);
  constexpr uint16_t kDeflated = 8;
  if (record.method != kDeflated) return read_npy(zip.read(record), array);
  const std::vector<std::byte> plain = naming(array, [&] {
    // Doubles and their header: a small file must not ask for more memory than a map can need.
    constexpr uint64_t kHeader = 1 << 16;
    check(record.size <= 8 * uint64_t(max_values) + kHeader, record.size,
          " bytes; a map of at most ", max_values, " values is read");
    std::vector<std::byte> bytes = inflate_raw(zip.compressed(record), size_t(record.size));
    check(crc32_of(bytes) == record.crc32, "wrong checksum; the file is damaged: copy it again");
    return bytes;
  });
  return read_npy(plain, array);
}

}  // namespace fathom
