#include "core/bytes.h"
#include "core/image_codec.h"

#ifdef FATHOM_JPEG

#include <csetjmp>
#include <cstdio>
#include <memory>

#include <jpeglib.h>
// after jpeglib.h
#include <jerror.h>

namespace fathom::codec {

// libjpeg is C: it leaves by longjmp. So everything that owns memory lives outside of run(), where
// the jump lands, and run() itself has no object with a destructor.
struct JpegDecoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf landing;
  char message[JMSG_LENGTH_MAX] = "";
  bool end_missing = false;
  ~JpegDecoder() { jpeg_destroy_decompress(&info); }
};

static void leave(j_common_ptr info) {
  auto* decoder = static_cast<JpegDecoder*>(info->client_data);
  info->err->format_message(info, decoder->message);
  std::longjmp(decoder->landing, 1);
}

// libjpeg warns about damage and goes on with grey. Damage that loses pixels stops us instead.
static void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace
  switch (info->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL: leave(info); break;
    case JWRN_JPEG_EOF: static_cast<JpegDecoder*>(info->client_data)->end_missing = true; break;
    default: break;  // stray bytes, odd revision numbers, a broken colour profile
  }
}

// A tiny progressive file can make libjpeg revisit a large picture thousands of times.
static void on_progress(j_common_ptr info) {
  constexpr int kMaxScans = 500;  // the limit of libjpeg-turbo's own fuzzers
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  auto* decoder = static_cast<JpegDecoder*>(info->client_data);
  std::snprintf(decoder->message, sizeof decoder->message, "more than %d scans", kMaxScans);
  std::longjmp(decoder->landing, 1);
}

// Adobe stores inks inverted, 255 meaning none; others store them plainly.
static void rgb_from_cmyk(const uint8_t* cmyk, uint8_t* rgb, size_t pixels, bool inverted) {
  const int flip = inverted ? 0 : 255;
  for (size_t i = 0; i < pixels; ++i) {
    const int black = cmyk[4 * i + 3] ^ flip;
    for (size_t c = 0; c < 3; ++c)
      rgb[3 * i + c] = uint8_t(black - ((255 - (cmyk[4 * i + c] ^ flip)) * black >> 8));
  }
}

// False when libjpeg gave up, with the reason in decoder.message.
static bool run(JpegDecoder& decoder, Bytes file, const ImageHeader& header, uint8_t* rgb,
                uint8_t* cmyk_row) {
  if (setjmp(decoder.landing) != 0) return false;
  jpeg_decompress_struct& info = decoder.info;
  info.err = jpeg_std_error(&decoder.errors);
  info.client_data = &decoder;
  decoder.errors.error_exit = leave;
  decoder.errors.emit_message = on_message;
  jpeg_create_decompress(&info);
  decoder.progress.progress_monitor = on_progress;
  info.progress = &decoder.progress;
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(&info, TRUE);
  if (info.image_height != header.height || info.image_width != header.width ||
      info.num_components != header.channels) {
    std::snprintf(decoder.message, sizeof decoder.message, "two different frame headers");
    return false;
  }
  // Coefficients of a progressive file take 2 bytes, of up to 4 components, and rows in flight less
  // than 12, in a picture padded to whole blocks; beyond that libjpeg gives up.
  const int64_t padded = (header.height + 32) * (header.width + 32);
  info.mem->max_memory_to_use = long(24 * padded + (1 << 20));
  const bool inks = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&info);
  const size_t row_bytes = 3 * size_t(info.output_width);
  while (info.output_scanline < info.output_height) {
    uint8_t* target = rgb + info.output_scanline * row_bytes;
    uint8_t* row = inks ? cmyk_row : target;
    jpeg_read_scanlines(&info, &row, 1);
    if (inks) rgb_from_cmyk(row, target, info.output_width, info.saw_Adobe_marker);
  }
  // With several scans the end marker is all that tells whether one is missing.
  if (decoder.end_missing && jpeg_has_multiple_scans(&info)) {
    std::snprintf(decoder.message, sizeof decoder.message, "premature end of a progressive file");
    return false;
  }
  jpeg_finish_decompress(&info);
  return true;
}

std::vector<uint8_t> decode_jpeg(Bytes file, const ImageHeader& header) {
  std::vector<uint8_t> rgb(size_t(header.height) * size_t(header.width) * 3);
  std::vector<uint8_t> cmyk_row(header.channels == 4 ? 4 * size_t(header.width) : 0);
  const auto decoder = std::make_unique<JpegDecoder>();
  check(run(*decoder, file, header, rgb.data(), cmyk_row.data()),
        "the JPEG is damaged or not supported: ", decoder->message);
  return rgb;
}

}  // namespace fathom::codec

#else

namespace fathom::codec {

// stb_image would decode JPEG too, but reads out of bounds on damaged files.
std::vector<uint8_t> decode_jpeg(Bytes, const ImageHeader&) {
  fail(
      "this build has no libjpeg-turbo; install libjpeg62-turbo-dev and build again, or convert "
      "the "
      "photo to PNG");
}

}  // namespace fathom::codec

#endif
