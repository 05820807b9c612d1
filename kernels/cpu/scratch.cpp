#include "kernels/cpu/scratch.h"

#include "core/allocator.h"
#include "core/shape.h"

namespace fathom::cpu {

namespace {
struct Buffer {
  std::byte* data = nullptr;
  int64_t bytes = 0;
  ~Buffer() { release(); }
  void release() {
    if (data) allocator::release(data);
    data = nullptr;
    bytes = 0;
  }
};
}  // namespace

std::byte* scratch_bytes(Scratch use, int64_t bytes) {
  static thread_local Buffer buffers[kScratchUses];
  Buffer& buffer = buffers[int(use)];
  if (bytes > buffer.bytes || !buffer.data) {
    buffer.release();
    buffer.data = allocator::allocate(round_up(bytes + 64, 4096));
    buffer.bytes = bytes;
  }
  return buffer.data;
}

}  // namespace fathom::cpu
