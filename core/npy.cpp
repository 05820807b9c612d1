#include "core/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/dtype.h"
#include "core/file.h"

namespace fathom {

static_assert(std::endian::native == std::endian::little, "the writers copy floats as they are");

void write_npy(const std::filesystem::path& path, const MapView& map) {
  check_map("write_npy", map);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                       std::to_string(map.height) + ", " + std::to_string(map.width) + "), }";
  // Magic, version and length are 10 bytes; the data begin at a multiple of 64.
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  AtomicFile file(path);
  file.write({"\x93NUMPY\x01\x00", 8});
  const std::byte length[] = {std::byte(header.size() & 255), std::byte(header.size() >> 8)};
  file.write(length);
  file.write(header);
  file.write(std::as_bytes(map.values));
  file.commit();
}

struct NpyHeader {
  std::string_view dtype = {};  // as "<f4"
  bool fortran_order = false;
  std::vector<int64_t> shape = {};
  size_t data_offset = 0;
};

// What stands after 'key': in the dictionary.
static std::string_view value_of(std::string_view dictionary, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = quote + std::string(key) + quote;
    size_t at = dictionary.find(quoted);
    if (at == dictionary.npos) continue;
    at = dictionary.find_first_not_of(" :", at + quoted.size());
    check(at != dictionary.npos, "the npy header has no value for ", key);
    return dictionary.substr(at);
  }
  fail("the npy header does not say ", key);
}

static std::vector<int64_t> parse_shape(std::string_view text) {
  const size_t end = text.find(')');
  check(text.starts_with('(') && end != text.npos, "the npy header's shape is not a tuple");
  std::vector<int64_t> shape = {};
  const char *at = text.data() + 1, *last = text.data() + end;
  while (at != last) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    int64_t extent = 0;
    const auto parsed = std::from_chars(at, last, extent);
    check(parsed.ec == std::errc() && extent > 0 && extent <= INT32_MAX && shape.size() < 8,
          "the npy header's shape is not a short list of positive extents: ", text.substr(0, end));
    shape.push_back(extent);
    at = parsed.ptr;
  }
  return shape;
}

static NpyHeader parse_header(Bytes file) {
  check(starts_with(file, "\x93NUMPY"), "not a .npy file");
  const auto major = read_uint(file, 6, 1, std::endian::little);
  check(major >= 1 && major <= 3, "npy format version ", major, " is not known (1 to 3 are)");
  const size_t start = major == 1 ? 10 : 12;
  const size_t length = major == 1 ? read_little16(file, 8) : read_little32(file, 8);
  check(start + length <= file.size(), "the npy file ends within its header");
  const std::string_view dictionary(reinterpret_cast<const char*>(file.data()) + start, length);
  NpyHeader header{.data_offset = start + length};
  const std::string_view descr = value_of(dictionary, "descr");
  const size_t quote = descr.size() > 1 ? descr.find(descr[0], 1) : descr.npos;
  check((descr[0] == '\'' || descr[0] == '"') && quote != descr.npos,
        "the npy file holds records, not numbers of one type");
  header.dtype = descr.substr(1, quote - 1);
  header.fortran_order = value_of(dictionary, "fortran_order").starts_with("True");
  header.shape = parse_shape(value_of(dictionary, "shape"));
  return header;
}

// Drops extents of 1 until two are left: leading ones first, then trailing ones.
static void squeeze(std::vector<int64_t>& shape) {
  while (shape.size() > 2 && shape.front() == 1) shape.erase(shape.begin());
  while (shape.size() > 2 && shape.back() == 1) shape.pop_back();
}

// The number of type T at `bytes`, in a byte order that may not be ours.
template <class T>
static float element(const std::byte* bytes, bool swap) {
  std::byte own[sizeof(T)];
  std::memcpy(own, bytes, sizeof(T));
  if (swap) std::reverse(own, own + sizeof(T));
  T value;
  std::memcpy(&value, own, sizeof(T));
  return float(value);
}

template <class T>
static FloatMap decode(Bytes file, const NpyHeader& header) {
  const int64_t height = header.shape[0], width = header.shape[1];
  const Bytes data = file.subspan(header.data_offset);
  check(size_t(height) <= data.size() / sizeof(T) / size_t(width), "the npy file has ", data.size(),
        " bytes of data, too few for ", height, " x ", width, " of ", header.dtype);
  FloatMap map{height, width, std::vector<float>(size_t(height * width))};
  const bool swap = header.dtype[0] == '>';
  const int64_t down = header.fortran_order ? 1 : width, right = header.fortran_order ? height : 1;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      map.values[size_t(y * width + x)] =
          element<T>(data.data() + (y * down + x * right) * int64_t(sizeof(T)), swap);
  return map;
}

static FloatMap parse(Bytes file) {
  NpyHeader header = parse_header(file);
  squeeze(header.shape);
  check(header.shape.size() == 2, "a map has two axes, but the npy array has ",
        header.shape.size());
  check(header.dtype.size() == 3, "npy dtype ", header.dtype, " is not supported");
  const std::string_view kind = header.dtype.substr(1);
  if (kind == "f4") return decode<float>(file, header);
  if (kind == "f8") return decode<double>(file, header);
  if (kind == "f2") return decode<float16>(file, header);
  if (kind == "u1" || kind == "b1") return decode<uint8_t>(file, header);
  if (kind == "u2") return decode<uint16_t>(file, header);
  fail("npy dtype ", header.dtype, " is not supported; use f2, f4, f8, u1, u2 or b1");
}

FloatMap read_npy(Bytes file, std::string_view name) {
  return naming(name, [&] { return parse(file); });
}

FloatMap read_npy(const std::filesystem::path& path) {
  return read_npy(MappedFile(path).bytes(), path.string());
}

}  // namespace fathom
