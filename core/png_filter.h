#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fathom {

/// Undoes the row filters of a PNG in place: None, Sub, Up, Average and Paeth.
///
/// rows: [height, 1 + row_bytes]; every row begins with the number of its filter, which stays.
/// pixel_bytes: of a whole pixel, 1 to 8; divides row_bytes.
/// Returns whether all filters are known. Source: PNG specification (third edition), section 9.
bool undo_png_filters(std::span<uint8_t> rows, size_t row_bytes, size_t pixel_bytes);

}  // namespace fathom
