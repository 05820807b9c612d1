#include "core/pfm.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "core/bytes.h"
#include "core/file.h"

namespace fathom {

void write_pfm(const std::filesystem::path& path, const MapView& map) {
  check_map("write_pfm", map);
  AtomicFile file(path);
  file.write("Pf\n" + std::to_string(map.width) + " " + std::to_string(map.height) + "\n-1.0\n");
  for (int64_t y = map.height - 1; y >= 0; --y)
    file.write(std::as_bytes(map.values.subspan(size_t(y * map.width), size_t(map.width))));
  file.commit();
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The next word of the header; `at` ends on the one white space after it.
static std::string_view next_word(std::string_view text, size_t& at) {
  while (at < text.size() && is_space(text[at])) ++at;
  const size_t begin = at;
  while (at < text.size() && !is_space(text[at])) ++at;
  check(at < text.size() && at > begin && at - begin < 64, "the PFM ends within its header");
  return text.substr(begin, at - begin);
}

template <class T>
static T number(std::string_view word) {
  T value{};
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), value);
  check(parsed.ec == std::errc() && parsed.ptr == word.data() + word.size(),
        "the PFM header has \"", word, "\" where a number must stand");
  return value;
}

static FloatMap parse(Bytes file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  check(!text.starts_with("PF"), "a PFM of three channels; a map of one channel is needed");
  check(text.starts_with("Pf"), "not a PFM file");
  size_t at = 2;
  const auto width = number<int64_t>(next_word(text, at));
  const auto height = number<int64_t>(next_word(text, at));
  const auto scale = number<double>(next_word(text, at));
  check(width > 0 && height > 0, "a PFM of ", width, " x ", height, " values");
  check(scale != 0, "the PFM's scale is 0, so its byte order is not known");
  // Files written on Windows may end the header with two characters.
  if (text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n') ++at;
  const Bytes data = file.subspan(at + 1);
  check(width <= int64_t(data.size() / 4) && height <= int64_t(data.size() / 4) / width,
        "the PFM has ", data.size(), " bytes of data, too few for ", width, " x ", height);
  const std::endian order = scale < 0 ? std::endian::little : std::endian::big;
  FloatMap map{height, width, std::vector<float>(size_t(height * width))};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      map.values[size_t((height - 1 - y) * width + x)] =
          std::bit_cast<float>(uint32_t(read_uint(data, size_t(y * width + x) * 4, 4, order)));
  return map;
}

FloatMap read_pfm(Bytes file, std::string_view name) {
  return naming(name, [&] { return parse(file); });
}

FloatMap read_pfm(const std::filesystem::path& path) {
  return read_pfm(MappedFile(path).bytes(), path.string());
}

}  // namespace fathom
