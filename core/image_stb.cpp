// stb_image, whole and alone. Its warnings are switched off for this file (CMakeLists.txt).
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/bytes.h"
#include "core/image_codec.h"

// stb_image grows its buffers as the data ask for it, so a small file could ask for gigabytes. All
// of its memory goes through these: what one decode requests in total stays within its budget.
static thread_local size_t stb_budget = 0;

static void* stb_allocate(size_t size) {
  if (size > stb_budget) return nullptr;
  stb_budget -= size;
  return std::calloc(size, 1);  // zeros: a decoder that reads too little shows black, not secrets
}

static void* stb_reallocate(void* old, size_t old_size, size_t size) {
  if (size > stb_budget) return nullptr;
  stb_budget -= size;
  void* block = std::realloc(old, size);
  if (block != nullptr && size > old_size) std::memset((char*)block + old_size, 0, size - old_size);
  return block;
}

#define STBI_MALLOC(size) stb_allocate(size)
#define STBI_REALLOC_SIZED(block, old_size, size) stb_reallocate(block, old_size, size)
#define STBI_REALLOC(block, size) stb_reallocate(block, size, size)
#define STBI_FREE(block) std::free(block)
#define STBI_NO_STDIO
#define STBI_NO_PSD
#define STBI_NO_GIF
#define STBI_NO_HDR
#define STBI_NO_PIC
#define STBI_NO_PNM  // 2.27 reads 16-bit maps byte-swapped and beyond their end
#define STBI_NO_LINEAR
#define STBI_NO_JPEG  // 2.27 reads out of bounds on damaged Huffman tables
#define STBI_MAX_DIMENSIONS (1 << 24)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

namespace fathom::codec {

struct FreePixels {
  void operator()(void* pixels) const { std::free(pixels); }
};

// Per pixel: raw and filtered rows and interlaced passes of at most 4 x 16 bits (24 bytes), then
// two conversions (9). Per byte of file: a copy that grows by doubling.
static size_t budget_of(Bytes file, const ImageHeader& header) {
  return 8 * file.size() + 40 * size_t(header.height) * size_t(header.width) + (256 << 10);
}

template <class T, class Load>
static std::vector<T> decode(Bytes file, const ImageHeader& header, int channels, Load load) {
  check(file.size() <= INT_MAX, "a file of ", file.size(), " bytes; the limit is 2 GiB");
  int width = 0, height = 0, stored = 0;
  stb_budget = budget_of(file, header);
  const std::unique_ptr<T, FreePixels> pixels(load(reinterpret_cast<const stbi_uc*>(file.data()),
                                                   int(file.size()), &width, &height, &stored,
                                                   channels));
  check(pixels != nullptr, "cannot decode: ", stbi_failure_reason());
  check(width == header.width && height == header.height, "the header says ", header.width, " x ",
        header.height, " pixels, the data ", width, " x ", height);
  return {pixels.get(), pixels.get() + size_t(width) * size_t(height) * size_t(channels)};
}

std::vector<uint8_t> decode_stb(Bytes file, const ImageHeader& header, int channels) {
  return decode<uint8_t>(file, header, channels, stbi_load_from_memory);
}

std::vector<uint16_t> decode_stb16(Bytes file, const ImageHeader& header, int channels) {
  return decode<uint16_t>(file, header, channels, stbi_load_16_from_memory);
}

}  // namespace fathom::codec
