#include "core/image.h"

#include <algorithm>
#include <utility>

#include "core/bytes.h"
#include "core/file.h"
#include "core/image_codec.h"
#include "core/image_header.h"

namespace fathom {

static ImageHeader planned_header(Bytes file, const ImageOptions& options) {
  const ImageHeader header = read_image_header(file);
  check(header.height <= options.max_pixels / header.width, header.width, " x ", header.height,
        " pixels exceed the limit of ", options.max_pixels, "; raise --max-pixels to allow them");
  return header;
}

// Orientations 5 to 8 exchange rows and columns. Source: EXIF 2.3, section 4.6.4, tag 274.
static bool transposes(int orientation) { return orientation >= 5; }

// Walks the stored pixels in upright order: where the first one is, and the steps to the pixels
// below it and to the right of it.
struct UprightWalk {
  int64_t origin, down, right;
};

static UprightWalk upright_walk(int orientation, int64_t height, int64_t width) {
  const int64_t last_row = (height - 1) * width, last_column = width - 1;
  switch (orientation) {
    case 2: return {last_column, width, -1};
    case 3: return {last_row + last_column, -width, -1};
    case 4: return {last_row, -width, 1};
    case 5: return {0, 1, width};
    case 6: return {last_row, 1, -width};
    case 7: return {last_row + last_column, -1, -width};
    case 8: return {last_column, -1, width};
    default: return {0, width, 1};
  }
}

template <int kChannels, class T>
static void make_upright(std::vector<T>& pixels, int& height, int& width, int orientation) {
  if (orientation == 1) return;
  const UprightWalk walk = upright_walk(orientation, height, width);
  if (transposes(orientation)) std::swap(height, width);
  std::vector<T> upright(pixels.size());
  T* to = upright.data();
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x, to += kChannels) {
      const T* from = pixels.data() + (walk.origin + y * walk.down + x * walk.right) * kChannels;
      for (int c = 0; c < kChannels; ++c) to[c] = from[c];
    }
  }
  pixels = std::move(upright);
}

// 16 bits by their high byte, as libpng's strip_16 and OpenCV; other maxima by proportion.
static std::vector<uint8_t> eight_bits(const std::vector<uint16_t>& samples, uint32_t max_value) {
  std::vector<uint8_t> result(samples.size());
  std::transform(samples.begin(), samples.end(), result.begin(), [=](uint32_t value) {
    if (max_value == 65535) return uint8_t(value >> 8);
    return uint8_t(std::min(value, max_value) * 255 / max_value);
  });
  return result;
}

static std::vector<uint8_t> repeat_grey(const std::vector<uint8_t>& grey) {
  std::vector<uint8_t> rgb(grey.size() * 3);
  for (size_t i = 0; i < grey.size(); ++i) rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = grey[i];
  return rgb;
}

static std::vector<uint8_t> decode_rgb(Bytes file, const ImageHeader& header) {
  switch (header.format) {
    case ImageFormat::jpeg: return codec::decode_jpeg(file, header);
    case ImageFormat::png: {
      auto pixels = codec::decode_png(file, header);
      if (!pixels) return codec::decode_stb(file, header, 3);
      return header.channels == 1 ? repeat_grey(*pixels) : *std::move(pixels);
    }
    case ImageFormat::bmp:
    case ImageFormat::tga: return codec::decode_stb(file, header, 3);
    case ImageFormat::pnm: {
      std::vector<uint8_t> samples = eight_bits(codec::decode_pnm(file, header), header.max_value);
      return header.channels == 1 ? repeat_grey(samples) : samples;
    }
  }
  fail("unknown format ", int(header.format));
}

// One of three channels, all of which must agree.
template <class T>
static std::vector<uint16_t> grey_of(const std::vector<T>& samples, int channels) {
  if (channels == 1) return {samples.begin(), samples.end()};
  std::vector<uint16_t> grey(samples.size() / 3);
  for (size_t i = 0; i < grey.size(); ++i) {
    grey[i] = samples[3 * i];
    check(samples[3 * i + 1] == grey[i] && samples[3 * i + 2] == grey[i],
          "a map of one channel is needed, but pixel ", i, " is coloured (", int(samples[3 * i]),
          ", ", int(samples[3 * i + 1]), ", ", int(samples[3 * i + 2]), ")");
  }
  return grey;
}

static std::vector<uint16_t> decode_grey(Bytes file, const ImageHeader& header) {
  const int channels = header.channels <= 2 ? 1 : 3;
  if (header.format == ImageFormat::pnm) return grey_of(codec::decode_pnm(file, header), channels);
  if (header.format == ImageFormat::jpeg) return grey_of(codec::decode_jpeg(file, header), 3);
  if (header.format == ImageFormat::png) {
    if (auto samples = codec::decode_png16(file, header))
      return channels == 1 ? *std::move(samples) : grey_of(*samples, channels);
    if (const auto samples = codec::decode_png(file, header)) return grey_of(*samples, channels);
  }
  if (header.bits == 16) return grey_of(codec::decode_stb16(file, header, channels), channels);
  return grey_of(codec::decode_stb(file, header, channels), channels);
}

Image8 read_image(Bytes file, std::string_view name, const ImageOptions& options) {
  return naming(name, [&] {
    const ImageHeader header = planned_header(file, options);
    Image8 image{.height = int(header.height),
                 .width = int(header.width),
                 .pixels = decode_rgb(file, header)};
    make_upright<3>(image.pixels, image.height, image.width, header.orientation);
    return image;
  });
}

Image16 read_image16(Bytes file, std::string_view name, const ImageOptions& options) {
  return naming(name, [&] {
    const ImageHeader header = planned_header(file, options);
    Image16 image{.height = int(header.height),
                  .width = int(header.width),
                  .bits = header.bits,
                  .pixels = decode_grey(file, header)};
    make_upright<1>(image.pixels, image.height, image.width, header.orientation);
    return image;
  });
}

ImageSize read_image_size(Bytes file, std::string_view name, const ImageOptions& options) {
  return naming(name, [&] {
    const ImageHeader header = planned_header(file, options);
    if (transposes(header.orientation)) return ImageSize{header.width, header.height};
    return ImageSize{header.height, header.width};
  });
}

Image8 read_image(const std::filesystem::path& path, const ImageOptions& options) {
  return read_image(MappedFile(path).bytes(), path.string(), options);
}

Image16 read_image16(const std::filesystem::path& path, const ImageOptions& options) {
  return read_image16(MappedFile(path).bytes(), path.string(), options);
}

ImageSize read_image_size(const std::filesystem::path& path, const ImageOptions& options) {
  return read_image_size(MappedFile(path).bytes(), path.string(), options);
}

}  // namespace fathom
