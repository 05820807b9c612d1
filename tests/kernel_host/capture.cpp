#include "tests/kernel_host/capture.h"

#include <cstring>
#include <memory>

namespace fathom::gpu::host {
namespace {

struct Capture {
  bool good = true;
  std::vector<std::function<void()>> work;
};
thread_local std::unique_ptr<Capture> t_capture;

}  // namespace

bool is_capturing() { return t_capture != nullptr; }

void begin_capture() {
  if (t_capture) fail("a capture is open already");
  t_capture = std::make_unique<Capture>();
}

void capture(std::function<void()> work) { t_capture->work.push_back(std::move(work)); }

void capture(const Grid& grid, dim3 block, std::size_t shared_bytes, const Call& call) {
  const std::size_t words = (call.bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
  const std::shared_ptr<std::max_align_t[]> copy(new std::max_align_t[words]);
  std::memcpy(static_cast<void*>(copy.get()), static_cast<const void*>(&call), call.bytes);
  capture([=] { run(grid, block, shared_bytes, *reinterpret_cast<const Call*>(copy.get())); });
}

void spoil_capture(const char* operation) {
  t_capture->good = false;
  fail("CUDA: ", operation, ": operation not permitted when stream is capturing");
}

std::vector<std::function<void()>> end_capture(bool& good) {
  const std::unique_ptr<Capture> ended = std::move(t_capture);
  good = ended && ended->good;
  if (!good) return {};
  return std::move(ended->work);
}

}  // namespace fathom::gpu::host
