#include "train/data/exr.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "core/bytes.h"

namespace fathom {

bool is_exr(Bytes file) { return starts_with(file, "\x76\x2f\x31\x01"); }

}  // namespace fathom

#ifdef FATHOM_EXR

#include <openexr.h>

namespace fathom {

// OpenEXRCore reads through callbacks and reports by return codes and one message.
struct ExrFile {
  Bytes bytes;
  std::string message = {};
  exr_context_t context = nullptr;
  ~ExrFile() {
    if (context != nullptr) exr_finish(&context);
  }
};

static ExrFile& file_of(exr_const_context_t context) {
  void* user = nullptr;
  exr_get_user_data(context, &user);
  return *static_cast<ExrFile*>(user);
}

static int64_t read_bytes(exr_const_context_t, void* user, void* buffer, uint64_t size,
                          uint64_t offset, exr_stream_error_func_ptr_t) {
  const Bytes bytes = static_cast<ExrFile*>(user)->bytes;
  if (offset >= bytes.size()) return 0;
  const uint64_t length = std::min<uint64_t>(size, bytes.size() - offset);
  std::memcpy(buffer, bytes.data() + offset, length);
  return int64_t(length);
}

static int64_t size_of_file(exr_const_context_t, void* user) {
  return int64_t(static_cast<ExrFile*>(user)->bytes.size());
}

static void keep_message(exr_const_context_t context, exr_result_t, const char* message) {
  if (context != nullptr) file_of(context).message = message;
}

static void require(exr_result_t result, const ExrFile& file) {
  check(result == EXR_ERR_SUCCESS,
        "the EXR is damaged or not supported: ", exr_get_default_error_message(result),
        file.message.empty() ? "" : ": ", file.message);
}

static std::string chosen_channel(const exr_attr_chlist_t& channels, std::string_view wanted) {
  std::string names;
  const auto there = [&](std::string_view name) {
    return std::any_of(channels.entries, channels.entries + channels.num_channels,
                       [&](const exr_attr_chlist_entry_t& c) { return c.name.str == name; });
  };
  for (int i = 0; i < channels.num_channels && i < 32; ++i)
    names += std::string(i == 0 ? "" : ", ") + channels.entries[i].name.str;
  if (wanted.empty() && channels.num_channels == 1) return channels.entries[0].name.str;
  if (!wanted.empty()) {
    check(there(wanted), "no channel '", wanted, "'; the EXR holds ", names);
    return std::string(wanted);
  }
  for (const char* usual : {"Z", "Y", "G", "R"})
    if (there(usual)) return usual;
  fail("the EXR holds the channels ", names, "; name one as the key");
}

// Decodes chunk after chunk straight into the map's rows.
class ChunkReader {
 public:
  ChunkReader(const ExrFile& file, const std::string& channel, const exr_attr_box2i_t& window)
      : file_(file), channel_(channel), window_(window) {}
  ~ChunkReader() {
    if (ready_) exr_decoding_destroy(file_.context, &pipeline_);
  }

  void read(int32_t y, FloatMap& map) {
    exr_chunk_info_t chunk;
    require(exr_read_scanline_chunk_info(file_.context, 0, y, &chunk), file_);
    const bool first = !ready_;
    if (first)
      require(exr_decoding_initialize(file_.context, 0, &chunk, &pipeline_), file_);
    else
      require(exr_decoding_update(file_.context, 0, &chunk, &pipeline_), file_);
    ready_ = true;
    aim(chunk, map);
    if (first) require(exr_decoding_choose_default_routines(file_.context, 0, &pipeline_), file_);
    require(exr_decoding_run(file_.context, 0, &pipeline_), file_);
  }

 private:
  // The other channels go to one scratch buffer: the library's fast loops for three and four
  // channels (3.1) write through a null target instead of skipping it.
  void aim(const exr_chunk_info_t& chunk, FloatMap& map) {
    const int64_t row = int64_t(chunk.start_y) - window_.min.y;
    check(row >= 0 && chunk.height > 0 && row + chunk.height <= map.height &&
              chunk.width == map.width,
          "the EXR is damaged: a block of rows outside of the picture");
    scratch_.resize(size_t(chunk.height) * size_t(map.width));
    for (int i = 0; i < pipeline_.channel_count; ++i) {
      exr_coding_channel_info_t& target = pipeline_.channels[i];
      check(target.x_samples == 1 && target.y_samples == 1, "an EXR with subsampled channels");
      float* const rows =
          target.channel_name == channel_ ? map.values.data() + row * map.width : scratch_.data();
      target.decode_to_ptr = reinterpret_cast<uint8_t*>(rows);
      target.user_pixel_stride = sizeof(float);
      target.user_line_stride = int32_t(map.width * int64_t(sizeof(float)));
      target.user_bytes_per_element = sizeof(float);
      target.user_data_type = EXR_PIXEL_FLOAT;
    }
  }

  const ExrFile& file_;
  const std::string& channel_;
  exr_attr_box2i_t window_;
  exr_decode_pipeline_t pipeline_{};
  std::vector<float> scratch_;
  bool ready_ = false;
};

static FloatMap parse(Bytes bytes, std::string_view wanted, int64_t max_pixels) {
  ExrFile file{.bytes = bytes};
  exr_context_initializer_t setup = EXR_DEFAULT_CONTEXT_INITIALIZER;
  setup.user_data = &file;
  setup.read_fn = read_bytes;
  setup.size_fn = size_of_file;
  setup.error_handler_fn = keep_message;
  require(exr_start_read(&file.context, "memory", &setup), file);
  exr_storage_t storage;
  require(exr_get_storage(file.context, 0, &storage), file);
  check(storage == EXR_STORAGE_SCANLINE,
        "an EXR of tiles or deep samples; only scan lines are read");
  exr_attr_box2i_t window;
  require(exr_get_data_window(file.context, 0, &window), file);
  const int64_t width = int64_t(window.max.x) - window.min.x + 1;
  const int64_t height = int64_t(window.max.y) - window.min.y + 1;
  check(width > 0 && height > 0 && height <= max_pixels / width, "an EXR of ", width, " x ", height,
        " pixels; at most ", max_pixels, " are read");
  const exr_attr_chlist_t* channels = nullptr;
  require(exr_get_channels(file.context, 0, &channels), file);
  const std::string channel = chosen_channel(*channels, wanted);
  int32_t rows = 0;
  require(exr_get_scanlines_per_chunk(file.context, 0, &rows), file);
  check(rows > 0, "the EXR is damaged: blocks of ", rows, " rows");
  FloatMap map{height, width, std::vector<float>(size_t(height * width))};
  ChunkReader reader(file, channel, window);
  for (int64_t y = window.min.y; y <= window.max.y; y += rows) reader.read(int32_t(y), map);
  return map;
}

FloatMap read_exr(Bytes file, std::string_view name, std::string_view channel, int64_t max_pixels) {
  return naming(name, [&] { return parse(file, channel, max_pixels); });
}

}  // namespace fathom

#else

namespace fathom {

FloatMap read_exr(Bytes, std::string_view name, std::string_view, int64_t) {
  fail(name,
       ": an EXR file, but this build has no OpenEXR; install libopenexr-dev and build again");
}

}  // namespace fathom

#endif
