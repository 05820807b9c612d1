#pragma once

// GCC 12 warns of an overlap inside "literal" + std::string that cannot happen (GCC bug 105651).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wrestrict"
#endif

#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/checkpoint/archive.h"
#include "tests/testing.h"

namespace fathom::made {

/// Little-endian bytes of a number, as a string to append.
template <class T>
std::string le(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// --- pickles, opcode by opcode ---

inline std::string text(std::string_view value) {
  return "X" + le(uint32_t(value.size())) + std::string(value);
}
inline std::string integer(int32_t value) { return "J" + le(value); }
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string tuple(const std::vector<int32_t>& values) {
  std::string out = "(";
  for (const int32_t value : values) out += integer(value);
  return out + "t";
}
/// A tensor as torch.save pickles it.
inline std::string tensor(std::string_view storage_type, std::string_view key, int32_t numel,
                          int32_t offset, const std::vector<int32_t>& size,
                          const std::vector<int32_t>& stride) {
  return global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") +
         global("torch", storage_type) + text(key) + text("cpu") + integer(numel) + "tQ" +
         integer(offset) + tuple(size) + tuple(stride) + "\x89" +
         global("collections", "OrderedDict") + ")RtR";
}
inline std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string out = "}(";
  for (const auto& [key, value] : items) out += text(key) + value;
  return out + "u";
}

// --- zip archives as PyTorch writes them: stored, sizes only in the directory, padded ---

struct Zip {
  std::vector<std::pair<std::string, std::string>> records;
  bool zip64 = true;
  uint16_t method = 0;

  std::string build() const {
    std::string out, directory;
    for (const auto& [name, data] : records) {
      const auto offset = uint32_t(out.size());
      const std::string padding(size_t(round_up(int64_t(out.size() + 34 + name.size()), 64)) -
                                    (out.size() + 34 + name.size()),
                                'Z');
      out += std::string("PK\3\4", 4) + le(uint16_t(0)) + le(uint16_t(0x0808)) + le(method) +
             std::string(16, '\0') + le(uint16_t(name.size())) + le(uint16_t(4 + padding.size())) +
             name + "FB" + le(uint16_t(padding.size())) + padding + data;
      const auto size = uint32_t(data.size());
      // A large field in the ZIP64 manner: 0xffffffff, and the value in extra field 1.
      const std::string extra =
          zip64 ? le(uint16_t(1)) + le(uint16_t(8)) + le(uint64_t(offset)) : std::string();
      directory += std::string("PK\1\2", 4) + le(uint16_t(0)) + le(uint16_t(0)) +
                   le(uint16_t(0x0808)) + le(method) + std::string(8, '\0') + le(size) + le(size) +
                   le(uint16_t(name.size())) + le(uint16_t(extra.size())) + le(uint16_t(0)) +
                   std::string(8, '\0') + le(zip64 ? ~uint32_t(0) : offset) + name + extra;
    }
    const size_t at = out.size();
    out += directory;
    if (zip64) {
      const size_t end64 = out.size();
      out += std::string("PK\6\6", 4) + le(uint64_t(44)) + std::string(12, '\0') +
             le(uint64_t(records.size())) + le(uint64_t(records.size())) +
             le(uint64_t(directory.size())) + le(uint64_t(at));
      out += std::string("PK\6\7", 4) + le(uint32_t(0)) + le(uint64_t(end64)) + le(uint32_t(1));
    }
    return out + std::string("PK\5\6", 4) + le(uint32_t(0)) + le(uint16_t(records.size())) +
           le(uint16_t(records.size())) + le(uint32_t(directory.size())) +
           le(zip64 ? ~uint32_t(0) : uint32_t(at)) + le(uint16_t(0));
  }
};

inline std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// A zip checkpoint whose object is `body` and whose storage "0" holds `storage`.
inline std::string torch_zip(const std::string& body, const std::string& storage = floats({})) {
  return Zip{{{"m/data.pkl", pickle(body)},
              {"m/byteorder", "little"},
              {"m/data/0", storage},
              {"m/version", "3\n"}}}
      .build();
}

/// A legacy checkpoint of one f32 storage "0".
inline std::string torch_legacy(const std::string& body, const std::vector<float>& storage,
                                bool little_endian = true) {
  const std::string magic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.");
  return magic + pickle("M" + le(uint16_t(1001))) +
         pickle(dict({{"little_endian", little_endian ? "\x88" : "\x89"}})) + pickle(body) +
         pickle("](" + text("0") + "e") + le(uint64_t(storage.size())) + floats(storage);
}

inline std::string safetensors(const std::string& header, const std::string& data) {
  return le(uint64_t(header.size())) + header + data;
}

// --- archives and files ---

inline Archive parse(const std::string& file) { return parse_archive(bytes_of(file), "made.pth"); }

inline std::vector<double> values_of(const Entry& entry) {
  std::vector<double> out(size_t(entry.shape.numel()));
  copy_elements(entry, DType::f64, std::as_writable_bytes(std::span(out)));
  return out;
}

/// The words of the Error that parsing throws, or "" when it reads.
inline std::string refusal(const std::string& file) {
  try {
    // A heap copy of the exact size, so that a sanitizer sees any read behind the end.
    const std::vector<char> copy(file.begin(), file.end());
    const Archive archive =
        parse_archive(std::as_bytes(std::span<const char>(copy.data(), copy.size())), "made.pth");
    for (const Entry& entry : archive.entries)
      if (entry.size_bytes() < (1 << 20)) values_of(entry);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

/// A folder that is gone after the test.
struct Folder {
  std::filesystem::path path;
  Folder() {
    static int count = 0;
    path = std::filesystem::temp_directory_path() /
           ("fathom-checkpoint-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(path / name, std::ios::binary) << content;
    return path / name;
  }
};

/// A tensor for write_safetensors with values 0, 1, 2, ... of type T, and its bytes.
inline std::string iota_f32(const Shape& shape, float start = 0) {
  std::vector<float> values(size_t(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = start + float(i);
  return floats(values);
}

}  // namespace fathom::made
