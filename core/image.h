#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace fathom {

/// A photo as the models see it: 8-bit RGB, row-major [height, width, 3].
struct Image8 {
  int height = 0, width = 0, channels = 3;
  std::vector<uint8_t> pixels = {};
};

/// A grey map of stored integers (depth, disparity), row-major [height, width]. `bits` is the
/// depth of the file, 8 or 16: the values are those of the file, not stretched to 16 bits.
struct Image16 {
  int height = 0, width = 0, bits = 16;
  std::vector<uint16_t> pixels = {};
};

struct ImageSize {
  int64_t height = 0, width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

struct ImageOptions {
  /// A file that declares more is refused before anything is allocated for it.
  int64_t max_pixels = 200'000'000;
};

/// Decodes a photo: JPEG, PNG, BMP, TGA, PGM or PPM, recognised by content.
///
/// The EXIF orientation (JPEG and PNG) is applied, so the picture is upright. Grey becomes RGB,
/// palettes are expanded, alpha is dropped, not blended, and 16 bits become 8 by their high byte,
/// all as OpenCV's IMREAD_COLOR does. CMYK and YCCK are converted without a colour profile
/// (R = C * K for Adobe's inverted inks). Colour profiles and gamma are ignored.
/// Damage is refused, not shown as grey blocks: a wrong PNG checksum, JPEG data that end before the
/// last row, files cut short. One thing is forgiven: a sequential JPEG that lacks only its end
/// marker. JPEG has no checksum, so a flipped bit within its data may pass.
/// Throws  Error naming the file and the reason.
Image8 read_image(const std::filesystem::path& path, const ImageOptions& options = {});
Image8 read_image(std::span<const std::byte> file, std::string_view name,
                  const ImageOptions& options = {});

/// The size that read_image will give, orientation applied, without decoding or allocating. What is
/// already known to be damaged, such as a PNG with a wrong checksum, is refused here too.
ImageSize read_image_size(const std::filesystem::path& path, const ImageOptions& options = {});
ImageSize read_image_size(std::span<const std::byte> file, std::string_view name,
                          const ImageOptions& options = {});

/// Decodes a grey PNG, PGM, BMP, TGA or JPEG to its stored integers; colour files are accepted when
/// their three channels are equal everywhere. Orientation is applied here too, so maps match their
/// photos.
Image16 read_image16(const std::filesystem::path& path, const ImageOptions& options = {});
Image16 read_image16(std::span<const std::byte> file, std::string_view name,
                     const ImageOptions& options = {});

}  // namespace fathom
