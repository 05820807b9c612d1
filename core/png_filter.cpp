#include "core/png_filter.h"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/clones.h"
#include "core/error.h"

namespace fathom {
namespace {

enum Filter : uint8_t { kNone, kSub, kUp, kAverage, kPaeth };

int paeth(int a, int b, int c) {
  const int pa = std::abs(b - c), pb = std::abs(a - c), pc = std::abs(a + b - 2 * c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

// One row, one byte after another. `above` is the row before, zeros for the first.
void undo_row(uint8_t* __restrict__ row, const uint8_t* __restrict__ above, uint8_t filter,
              size_t row_bytes, size_t pixel_bytes) {
  if (filter == kUp)
    for (size_t i = 0; i < row_bytes; ++i) row[i] = uint8_t(row[i] + above[i]);
  if (filter == kNone || filter == kUp) return;
  for (size_t i = 0; i < row_bytes; ++i) {
    const bool first = i < pixel_bytes;
    const int a = first ? 0 : row[i - pixel_bytes], b = above[i],
              c = first ? 0 : above[i - pixel_bytes];
    const int predicted = filter == kSub ? a : filter == kAverage ? (a + b) / 2 : paeth(a, b, c);
    row[i] = uint8_t(row[i] + predicted);
  }
}

// Sub adds up a row; pixels of two bytes are two sums side by side.
void undo_sub_of_two(uint8_t* row, size_t row_bytes) {
  uint8_t high = 0, low = 0;
  for (size_t i = 0; i < row_bytes; i += 2) {
    row[i] = high = uint8_t(high + row[i]);
    row[i + 1] = low = uint8_t(low + row[i + 1]);
  }
}

// Average and Paeth need the pixel to the left, so a row is one long chain. But row r at pixel x
// needs nothing of the rows above beyond x: kRows rows run at once, each one pixel behind the row
// above it, a lane a byte.
typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint64_t Words __attribute__((vector_size(16)));
typedef int16_t Lanes __attribute__((vector_size(16)));

template <size_t kPixel>
class Staggered {
 public:
  static constexpr size_t kLanes = kPixel == 3 ? 4 : kPixel;  // of a pixel
  static constexpr size_t kRows = 8 / kLanes;

  // rows: kRows of them, stride bytes apart, behind their filter bytes.
  __attribute__((always_inline)) static void undo(uint8_t* rows, const uint8_t* above,
                                                  size_t stride, size_t pixels) {
    Staggered state(rows, stride);
    size_t t = 0;  // lane r is at pixel t - r
    for (; t < kRows - 1; ++t) state.step<true>(rows, above, stride, pixels, t);
    for (; t < pixels; ++t) state.step<false>(rows, above, stride, pixels, t);
    for (; t < pixels + kRows - 1; ++t) state.step<true>(rows, above, stride, pixels, t);
  }

 private:
  Lanes sub_{}, up_{}, average_{}, paeth_{};  // all ones where a row has that filter
  Lanes left_{}, above_{};                    // of the step before; 0 before a row begins

  Staggered(const uint8_t* rows, size_t stride) {
    for (size_t i = 0; i < 8; ++i) {
      const uint8_t filter = rows[i / kLanes * stride - 1];
      sub_[i] = filter == kSub ? -1 : 0;
      up_[i] = filter == kUp ? -1 : 0;
      average_[i] = filter == kAverage ? -1 : 0;
      paeth_[i] = filter == kPaeth ? -1 : 0;
    }
  }

  // A pixel as the lowest bytes of a word.
  static uint64_t load(const uint8_t* pixel) {
    uint16_t two;
    std::memcpy(&two, pixel, 2);
    return kPixel == 2 ? two : two | uint64_t(pixel[2]) << 16;
  }
  static void store(uint8_t* pixel, uint64_t bytes) {
    const auto two = uint16_t(bytes);
    std::memcpy(pixel, &two, 2);
    if (kPixel == 3) pixel[2] = uint8_t(bytes >> 16);
  }

  static Lanes lanes_of(uint64_t bytes) {
    return Lanes(__builtin_shuffle(Bytes(Words{bytes, 0}), Bytes{},
                                   Bytes{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}));
  }
  static uint64_t bytes_of(Lanes lanes) {
    const auto words = Words(lanes);
    return packed(words[0]) | packed(words[1]) << 32;
  }
  static uint64_t packed(uint64_t four) {
    four = (four | four >> 8) & 0x0000ffff0000ffff;
    return (four | four >> 16) & 0xffffffff;
  }

  static Lanes absolute(Lanes x) { return x > -x ? x : -x; }

  // All rows a pixel down: the lanes of row r take those of row r - 1, the first row the pixel
  // above.
  static Lanes shifted(Lanes rows, uint64_t pixel) {
    const Lanes wide = lanes_of(pixel);
    if constexpr (kLanes == 2)
      return __builtin_shuffle(wide, rows, Lanes{0, 1, 8, 9, 10, 11, 12, 13});
    else
      return __builtin_shuffle(wide, rows, Lanes{0, 1, 2, 3, 8, 9, 10, 11});
  }

  template <bool kGuarded>
  __attribute__((always_inline)) void step(uint8_t* rows, const uint8_t* above, size_t stride,
                                           size_t pixels, size_t t) {
    const auto inside = [&](size_t r) { return !kGuarded || (t >= r && t - r < pixels); };
    uint64_t words = 0;
    for (size_t r = 0; r < kRows; ++r)
      if (inside(r)) words |= load(rows + r * stride + (t - r) * kPixel) << (8 * r * kLanes);
    const Lanes a = left_, c = above_;
    const Lanes b = shifted(left_, inside(0) ? load(above + t * kPixel) : 0);
    const Lanes pa = absolute(b - c), pb = absolute(a - c), pc = absolute(a + b - 2 * c);
    const Lanes b_or_c = pb <= pc ? b : c;
    const Lanes nearest = ((pa <= pb) & (pa <= pc)) ? a : b_or_c;
    const Lanes predicted =
        (a & sub_) | (b & up_) | (((a + b) >> 1) & average_) | (nearest & paeth_);
    left_ = (lanes_of(words) + predicted) & 0xff;
    above_ = b;
    const auto done = bytes_of(left_);
    for (size_t r = 0; r < kRows; ++r) {
      if (inside(r)) store(rows + r * stride + (t - r) * kPixel, done >> (8 * r * kLanes));
    }
  }
};

FATHOM_CLONES void undo_staggered_of_two(uint8_t* rows, const uint8_t* above, size_t stride,
                                         size_t pixels) {
  Staggered<2>::undo(rows, above, stride, pixels);
}
FATHOM_CLONES void undo_staggered_of_three(uint8_t* rows, const uint8_t* above, size_t stride,
                                           size_t pixels) {
  Staggered<3>::undo(rows, above, stride, pixels);
}

template <size_t kPixel>
void undo_with_lanes(uint8_t* rows, size_t height, size_t stride, const uint8_t* above) {
  constexpr size_t kRows = Staggered<kPixel>::kRows;
  const size_t row_bytes = stride - 1, pixels = row_bytes / kPixel;
  for (size_t y = 0; y < height;) {
    uint8_t* const row = rows + y * stride + 1;
    const uint8_t filter = row[-1];
    size_t done = 1;
    if ((filter == kAverage || filter == kPaeth) && height - y >= kRows && pixels >= kRows) {
      (kPixel == 2 ? undo_staggered_of_two : undo_staggered_of_three)(row, above, stride, pixels);
      done = kRows;
    } else if (filter == kSub && kPixel == 2) {
      undo_sub_of_two(row, row_bytes);
    } else {
      undo_row(row, above, filter, row_bytes, kPixel);
    }
    y += done;
    above = rows + (y - 1) * stride + 1;
  }
}

}  // namespace

bool undo_png_filters(std::span<uint8_t> rows, size_t row_bytes, size_t pixel_bytes) {
  const size_t stride = row_bytes + 1, height = rows.size() / stride;
  check(pixel_bytes >= 1 && pixel_bytes <= 8 && row_bytes > 0 && row_bytes % pixel_bytes == 0 &&
            rows.size() % stride == 0,
        "undo_png_filters: ", rows.size(), " bytes in rows of ", row_bytes, ", pixels of ",
        pixel_bytes);
  for (size_t y = 0; y < height; ++y)
    if (rows[y * stride] > kPaeth) return false;
  const std::vector<uint8_t> zeros(row_bytes);
  const uint8_t* above = zeros.data();
  if (pixel_bytes == 2) {
    undo_with_lanes<2>(rows.data(), height, stride, above);
  } else if (pixel_bytes == 3) {
    undo_with_lanes<3>(rows.data(), height, stride, above);
  } else {
    for (size_t y = 0; y < height; ++y) {
      uint8_t* const row = rows.data() + y * stride + 1;
      undo_row(row, above, row[-1], row_bytes, pixel_bytes);
      above = row;
    }
  }
  return true;
}

}  // namespace fathom
