#pragma once

#include <cstddef>
#include <span>

namespace fathom {

/// The orientation, 1 to 8, in the TIFF block of EXIF data; 1 (upright) when the block is damaged
/// or does not say. Only the first directory is read. Source: TIFF 6.0, section 2; EXIF 2.3, 4.6.4.
int exif_orientation(std::span<const std::byte> tiff) noexcept;

}  // namespace fathom
