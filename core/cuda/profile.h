#pragma once

#include <vector>

#include "core/profile.h"
#include "core/stream.h"

/// What core/profile.cpp wants of a device. Without CUDA in the build nothing calls it.
namespace fathom::cuda {

#ifdef FATHOM_CUDA

/// Whether the build has NVTX, and its ranges on the calling thread, which a tool draws.
bool has_ranges();
void begin_range(const char* name);
void end_range();

/// A point in the stream: an index for Span::marks.
int64_t mark(const CudaStream& stream);
/// The ops of the threads that have marks, with the times at which the device passed them, a track
/// for each stream. Waits for it, and forgets the marks.
std::vector<profile::Track> take_streams(const std::vector<profile::Track>& threads);

#else

inline bool has_ranges() { return false; }
inline void begin_range(const char*) {}
inline void end_range() {}
inline int64_t mark(const CudaStream&) { return -1; }
inline std::vector<profile::Track> take_streams(const std::vector<profile::Track>&) { return {}; }

#endif

}  // namespace fathom::cuda
