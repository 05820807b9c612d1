#include "core/png_filter.h"

#include <cstdlib>

#include "core/image_codec.h"
#include "core/philox.h"
#include "tests/pictures.h"
#include "tests/testing.h"

namespace fathom {

static const std::filesystem::path kData = FATHOM_TEST_DATA;

static int predicted(int filter, int a, int b, int c) {
  const int p = a + b - c, pa = std::abs(p - a), pb = std::abs(p - b), pc = std::abs(p - c);
  switch (filter) {
    case 1: return a;
    case 2: return b;
    case 3: return (a + b) / 2;
    case 4: return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
    default: return 0;
  }
}

// Rows of noise behind the numbers of their filters, and the same filtered, by the specification.
struct Rows {
  std::vector<uint8_t> plain, filtered;
};

static Rows rows_of(size_t height, size_t row_bytes, size_t pixel_bytes, bool only_paeth) {
  Rows rows;
  const size_t stride = row_bytes + 1;
  for (size_t i = 0; i < height * stride; ++i)
    rows.plain.push_back(uint8_t(philox4x32({{uint32_t(i), 7, 0, 0}}, 1, 2).word[0] >> 13));
  for (size_t y = 0; y < height; ++y) {
    uint8_t& filter = rows.plain[y * stride];
    filter = only_paeth ? 4 : filter % 5;
  }
  rows.filtered = rows.plain;
  for (size_t y = 0; y < height; ++y)
    for (size_t i = 0; i < row_bytes; ++i) {
      const uint8_t* at = &rows.plain[y * stride + 1 + i];
      const bool left = i >= pixel_bytes, above = y > 0;
      const int a = left ? at[-ptrdiff_t(pixel_bytes)] : 0, b = above ? at[-ptrdiff_t(stride)] : 0,
                c = left && above ? at[-ptrdiff_t(stride + pixel_bytes)] : 0;
      rows.filtered[y * stride + 1 + i] = uint8_t(*at - predicted(rows.plain[y * stride], a, b, c));
    }
  return rows;
}

TEST_CASE("png filter: every filter is undone, in any mixture and size") {
  for (const size_t pixel_bytes : {1, 2, 3, 4, 6, 8})
    for (const size_t width : {1, 2, 3, 4, 5, 33})
      for (const size_t height : {1, 2, 3, 4, 5, 23})
        for (const bool only_paeth : {false, true}) {
          CAPTURE(pixel_bytes, width, height, only_paeth);
          Rows rows = rows_of(height, width * pixel_bytes, pixel_bytes, only_paeth);
          REQUIRE(undo_png_filters(rows.filtered, width * pixel_bytes, pixel_bytes));
          REQUIRE(rows.filtered == rows.plain);
        }
}

TEST_CASE("png filter: says what it cannot undo") {
  std::vector<uint8_t> rows = {0, 1, 2, 5, 3, 4};  // two rows of two bytes
  CHECK(!undo_png_filters(rows, 2, 1));
  CHECK_THROWS_WITH(undo_png_filters(rows, 3, 1), Catch::Contains("6 bytes in rows of 3"));
  CHECK_THROWS_WITH(undo_png_filters(rows, 2, 3), Catch::Contains("pixels of 3"));
}

// The quick decoder and stb_image agree on every picture here, or the quick one declines.
TEST_CASE("png filter: the decoders of PNG agree") {
  int decoded = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kData)) {
    if (entry.path().extension() != ".png") continue;
    CAPTURE(entry.path());
    const MappedFile file(entry.path());
    ImageHeader header{};
    try {
      header = read_image_header(file.bytes());
    } catch (const Error&) {
      continue;  // a damaged one, for other tests
    }
    if (header.bits == 16) {
      const auto quick = codec::decode_png16(file.bytes(), header);
      decoded += quick.has_value();
      if (quick) CHECK((*quick == codec::decode_stb16(file.bytes(), header, header.channels)));
    } else {
      const auto quick = codec::decode_png(file.bytes(), header);
      decoded += quick.has_value();
      if (quick) CHECK((*quick == codec::decode_stb(file.bytes(), header, header.channels)));
    }
  }
  if (built_with("deflate: libdeflate")) CHECK(decoded >= 12);  // the pairs at least
}

}  // namespace fathom
