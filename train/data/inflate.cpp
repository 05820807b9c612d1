#include "train/data/inflate.h"

#include "core/error.h"

#ifdef FATHOM_ZLIB

#include <zlib.h>

#include <climits>

namespace fathom {

std::vector<std::byte> inflate_raw(std::span<const std::byte> compressed, size_t size) {
  // Deflate spends at least one bit on 129 bytes: a length code for 258 and its distance code.
  check(size / 1032 <= compressed.size() && size <= UINT_MAX && compressed.size() <= UINT_MAX, size,
        " bytes cannot come from ", compressed.size(), " bytes of deflate data");
  std::vector<std::byte> plain(size);
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(compressed.data()));
  stream.avail_in = uInt(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = uInt(size);
  check(inflateInit2(&stream, -MAX_WBITS) == Z_OK, "zlib: cannot start");
  const int status = inflate(&stream, Z_FINISH);
  const uInt missing = stream.avail_out;
  inflateEnd(&stream);
  check(status == Z_STREAM_END && missing == 0,
        "the compressed data are damaged: zlib's status is ", status, ", ", missing, " of ", size,
        " bytes are missing");
  return plain;
}

}  // namespace fathom

#else

namespace fathom {

std::vector<std::byte> inflate_raw(std::span<const std::byte>, size_t) {
  fail(
      "compressed, and this build has no zlib; install zlib1g-dev and build again, or save the "
      "file with numpy.savez");
}

}  // namespace fathom

#endif
