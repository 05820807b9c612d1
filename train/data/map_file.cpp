#include "train/data/map_file.h"

#include <bit>
#include <cstring>

#include "core/bytes.h"
#include "core/npy.h"
#include "core/pfm.h"
#include "train/data/exr.h"
#include "train/data/hdf5.h"
#include "train/data/npz.h"

namespace fathom {

static FloatMap floats_of(const Image16& image) {
  return {image.height, image.width, {image.pixels.begin(), image.pixels.end()}};
}

// The tag 202021.25, width, height, then floats. Source: MPI Sintel, sdk/python/sintel_io.py.
constexpr std::string_view kDptTag = "PIEH";

static FloatMap read_dpt(Bytes file) {
  const auto width = int32_t(read_little32(file, 4)), height = int32_t(read_little32(file, 8));
  const Bytes data = file.subspan(12);
  check(width > 0 && height > 0 && size_t(height) <= data.size() / 4 / size_t(width),
        "a .dpt map of ", width, " x ", height, " with ", data.size(), " bytes of data");
  FloatMap map{height, width, std::vector<float>(size_t(height) * size_t(width))};
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(map.values.data(), data.data(), map.values.size() * sizeof(float));
  return map;
}

FloatMap read_map(Bytes file, std::string_view name, std::string_view key,
                  const ImageOptions& options) {
  if (starts_with(file, "Pf") || starts_with(file, "PF")) return read_pfm(file, name);
  if (starts_with(file, "\x93NUMPY")) return read_npy(file, name);
  if (starts_with(file, "PK")) return read_npz(file, name, key, options.max_pixels);
  if (starts_with(file, kDptTag)) return naming(name, [&] { return read_dpt(file); });
  if (is_exr(file)) return read_exr(file, name, key, options.max_pixels);
  if (is_hdf5(file)) return read_hdf5(file, name, key, options.max_pixels);
  return floats_of(read_image16(file, name, options));
}

}  // namespace fathom
