// Work that is written down instead of done, as cudaStreamBeginCapture does it for a thread.
#pragma once

#include <functional>

#include "core/gpu.h"

namespace fathom::gpu::host {

bool is_capturing();
void begin_capture();
/// Keeps the work; the arguments of a launch are copied.
void capture(std::function<void()> work);
void capture(const Grid& grid, dim3 block, std::size_t shared_bytes, const Call& call);
/// An operation that a capture does not allow: the capture is lost, and this throws Error.
[[noreturn]] void spoil_capture(const char* operation);
/// The work in order; empty if the capture was lost.
std::vector<std::function<void()>> end_capture(bool& good);

}  // namespace fathom::gpu::host
