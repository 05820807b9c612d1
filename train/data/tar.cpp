#include "train/data/tar.h"

#include <algorithm>
#include <charconv>
#include <tuple>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "models/checkpoint/bytes.h"

namespace fathom {

using TarBytes = std::span<const std::byte>;
constexpr uint64_t kBlock = 512;
constexpr const char* kDamaged = "; the archive is damaged or incomplete: copy it again";

// One member with all the headers that belong to it.
struct Member {
  std::string name;
  char type = 0;
  uint64_t data = 0, size = 0;  // where the contents are
  uint64_t next = 0;            // the first header behind it
};

static std::string_view text_at(TarBytes block, uint64_t offset, uint64_t length) {
  const std::string_view field = as_text(block.subspan(offset, length));
  return field.substr(0, field.find('\0'));
}

// A number in octal digits, or in base 256 when the highest bit is set (GNU, for 8 GiB and more).
static std::optional<uint64_t> number_at(TarBytes block, uint64_t offset, uint64_t length) {
  const TarBytes field = block.subspan(offset, length);
  uint64_t value = 0;
  if ((uint8_t(field[0]) & 0x80) != 0) {
    value = uint8_t(field[0]) & 0x7f;
    for (const std::byte digit : field.subspan(1)) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | uint8_t(digit);
    }
    return value;
  }
  bool digits = false;
  for (const std::byte byte : field) {  // 12 digits of 3 bits cannot overflow
    const char c = char(byte);
    if (c >= '0' && c <= '7') {
      value = value * 8 + uint64_t(c - '0');
      digits = true;
    } else if (c == '\0' || (c == ' ' && digits)) {
      break;
    } else if (c != ' ') {
      return std::nullopt;
    }
  }
  return value;
}

// The bytes of the header with its checksum field read as spaces. Old programs summed signed bytes.
static bool right_checksum(TarBytes block) {
  const std::optional<uint64_t> stored = number_at(block, 148, 8);
  int64_t plain = 0, with_sign = 0;
  for (uint64_t i = 0; i < kBlock; ++i) {
    const uint8_t byte = i >= 148 && i < 156 ? uint8_t(' ') : uint8_t(block[i]);
    plain += byte;
    with_sign += int8_t(byte);
  }
  return stored && (int64_t(*stored) == plain || int64_t(*stored) == with_sign);
}

// Records "LENGTH KEY=VALUE\n" of a pax header.
static void read_pax(TarBytes data, Member& member, std::optional<uint64_t>& size,
                     const std::string& where) {
  std::string_view rest = as_text(data);
  while (!rest.empty() && rest[0] != '\0') {
    uint64_t length = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    const auto digits = uint64_t(parsed.ptr - rest.data());
    check(parsed.ec == std::errc() && length > digits + 1 && length <= rest.size() &&
              rest[digits] == ' ' && rest[length - 1] == '\n',
          where, ": a pax record is malformed", kDamaged);
    const std::string_view record = rest.substr(digits + 1, length - digits - 2);
    const size_t equals = record.find('=');
    check(equals != record.npos, where, ": a pax record without '='", kDamaged);
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") member.name = value;
    if (key == "size") {
      uint64_t number = 0;
      const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
      check(read.ec == std::errc() && read.ptr == value.data() + value.size(), where,
            ": the pax size ", shown(value), " is not a number", kDamaged);
      size = number;
    }
    rest.remove_prefix(length);
  }
}

static std::string_view without_dot(std::string_view name) {
  while (name.starts_with("./")) name.remove_prefix(2);
  return name;
}

// The member whose first header is at `at`; nothing at the end: two blocks of zeros, or no more
// bytes, as some writers leave it.
static std::optional<Member> member_at(TarBytes archive, uint64_t at,
                                       const std::string& archive_name) {
  Member member;
  std::optional<uint64_t> pax_size;
  while (at < archive.size()) {
    const std::string where = archive_name + ": the tar header at byte " + std::to_string(at);
    const auto block = slice(archive, at, kBlock);
    check(block.has_value(), where, " is cut short", kDamaged);
    if (std::ranges::all_of(*block, [](std::byte b) { return b == std::byte(0); }))
      return std::nullopt;
    check(right_checksum(*block), where, " has a wrong checksum", kDamaged);
    std::optional<uint64_t> size = number_at(*block, 124, 12);
    const char type = char((*block)[156]);
    const bool extension = type == 'L' || type == 'K' || type == 'x' || type == 'g';
    if (!extension && pax_size) size = pax_size;
    check(size.has_value(), where, " has no readable size", kDamaged);
    const auto data = slice(archive, at + kBlock, *size);
    check(data.has_value(), where, " declares ", *size, " bytes, more than the ",
          archive.size() - at - kBlock, " that follow", kDamaged);
    const uint64_t next = at + kBlock + (*size + kBlock - 1) / kBlock * kBlock;
    if (type == 'L') member.name = text_at(*data, 0, *size);
    if (type == 'x') read_pax(*data, member, pax_size, where);
    if (!extension) {
      if (member.name.empty()) {
        const bool ustar = text_at(*block, 257, 5) == "ustar" && char((*block)[262]) == '\0';
        const std::string_view prefix = ustar ? text_at(*block, 345, 155) : "";
        if (!prefix.empty()) member.name = std::string(prefix) + "/";
        member.name += text_at(*block, 0, 100);
      }
      member.name = without_dot(member.name);
      member.type = type;
      member.data = at + kBlock;
      member.size = *size;
      member.next = next;
      return member;
    }
    at = next;
  }
  return std::nullopt;
}

static uint64_t hash_of(std::string_view name) { return XXH3_64bits(name.data(), name.size()); }

TarIndex::TarIndex(std::span<const std::byte> archive, const std::string& name)
    : archive_(archive), name_(name) {
  const std::string_view start = as_text(archive.first(std::min<size_t>(archive.size(), 4)));
  check(!start.starts_with("\x1f\x8b") && !start.starts_with("BZh") &&
            !start.starts_with("\xfd"
                               "7zX") &&
            !start.starts_with("\x28\xb5\x2f\xfd"),
        name, ": a compressed archive has no random access; unpack it to a plain .tar");
  check(archive.size() >= kBlock, name, ": a tar archive of ", archive.size(), " bytes", kDamaged);
  for (uint64_t at = 0;;) {
    const std::optional<Member> member = member_at(archive, at, name);
    if (!member) break;
    const bool file = member->type == '0' || member->type == '\0' || member->type == '7';
    if (file && !member->name.ends_with('/')) slots_.push_back({hash_of(member->name), at});
    at = member->next;
  }
  std::ranges::sort(slots_, {}, [](const Slot& s) { return std::tuple(s.hash, s.header); });
}

std::optional<std::span<const std::byte>> TarIndex::find(std::string_view wanted) const {
  wanted = without_dot(wanted);
  const uint64_t hash = hash_of(wanted);
  const auto same = std::ranges::equal_range(slots_, hash, {}, &Slot::hash);
  for (auto slot = same.end(); slot != same.begin();) {
    const std::optional<Member> member = member_at(archive_, (--slot)->header, name_);
    if (member && member->name == wanted) return slice(archive_, member->data, member->size);
  }
  return std::nullopt;
}

std::vector<std::string> TarIndex::names() const {
  std::vector<uint64_t> headers;
  for (const Slot& slot : slots_) headers.push_back(slot.header);
  std::ranges::sort(headers);
  std::vector<std::string> names;
  for (const uint64_t header : headers) names.push_back(member_at(archive_, header, name_)->name);
  return names;
}

}  // namespace fathom
