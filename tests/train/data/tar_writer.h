#pragma once

#include <cstdio>
#include <cstring>
#include <string>

namespace fathom {

/// One header block of a tar archive with its checksum.
inline std::string tar_header(const std::string& name, size_t size, char type = '0',
                              const std::string& prefix = "") {
  std::string block(512, '\0');
  const auto put = [&](size_t at, const std::string& text) {
    block.replace(at, text.size(), text);
  };
  const auto octal = [](size_t value, int digits) {
    char text[24];
    std::snprintf(text, sizeof text, "%0*zo", digits, value);
    return std::string(text);
  };
  put(0, name.substr(0, 100));
  put(100, "0000644");
  put(124, octal(size, 11));
  put(148, "        ");
  block[156] = type;
  put(257, "ustar");
  put(263, "00");
  put(345, prefix);
  size_t sum = 0;
  for (const char c : block) sum += uint8_t(c);
  put(148, octal(sum, 6) + std::string("\0 ", 2));
  return block;
}

/// A member: its header and its contents, padded to whole blocks.
inline std::string tar_member(const std::string& name, const std::string& contents, char type = '0',
                              const std::string& prefix = "") {
  std::string padded = contents;
  padded.resize((contents.size() + 511) / 512 * 512);
  return tar_header(name, contents.size(), type, prefix) + padded;
}

inline std::string tar_end() { return std::string(1024, '\0'); }

}  // namespace fathom
