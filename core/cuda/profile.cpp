#include "core/cuda/profile.h"

#include <cmath>
#include <map>
#include <memory>
#include <mutex>

#include "core/cuda/stream.h"

#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define FATHOM_NVTX 1
#else
#define FATHOM_NVTX 0
#endif

namespace fathom::cuda {
namespace {

struct Mark {
  Event event;
  CudaStream stream;
};

// The event that times of a device count from, and when it passed.
struct Origin {
  Event event;
  int64_t at_ns = 0;
};

struct State {
  std::mutex mutex;
  std::vector<Mark> marks;  // kept for the next recording: making an event takes microseconds
  size_t used = 0;
  std::map<int, Origin> origins;
};

State& state() {
  static State* const instance = new State;  // events are not destroyed after the driver is gone
  return *instance;
}

Origin& origin_of(State& s, const CudaStream& stream) {
  const auto found = s.origins.find(stream.device);
  if (found != s.origins.end()) return found->second;
  Origin origin{.event = Event(stream.device, Event::Use::timing)};
  origin.event.record(stream);
  origin.event.synchronize();
  origin.at_ns = profile::now_ns();
  return s.origins.emplace(stream.device, std::move(origin)).first->second;
}

}  // namespace

bool has_ranges() { return FATHOM_NVTX != 0; }

#if FATHOM_NVTX
void begin_range(const char* name) { nvtxRangePushA(name); }
void end_range() { nvtxRangePop(); }
#else
void begin_range(const char*) {}
void end_range() {}
#endif

int64_t mark(const CudaStream& stream) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  origin_of(s, stream);
  while (s.used < s.marks.size() && s.marks[s.used].stream.device != stream.device) ++s.used;
  if (s.used == s.marks.size())
    s.marks.push_back({.event = Event(stream.device, Event::Use::timing), .stream = stream});
  s.marks[s.used].stream = stream;
  s.marks[s.used].event.record(stream);
  return int64_t(s.used++);
}

std::vector<profile::Track> take_streams(const std::vector<profile::Track>& threads) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  std::map<CUstream_st*, profile::Track> tracks;
  for (const profile::Track& thread : threads)
    for (profile::Span span : thread.spans) {
      if (span.marks[0] < 0 || span.marks[1] < 0) continue;
      const Mark& from = s.marks[size_t(span.marks[0])];
      const Mark& to = s.marks[size_t(span.marks[1])];
      to.event.synchronize();
      const Origin& origin = s.origins.at(from.stream.device);
      const auto at = [&](const Mark& mark) {
        return origin.at_ns + std::llround(Event::elapsed_ms(origin.event, mark.event) * 1e6);
      };
      span.begin_ns = at(from), span.end_ns = at(to);
      profile::Track& track = tracks[from.stream.handle];
      track.name = "stream " + std::to_string(tracks.size() - 1);
      track.device = {Device::Type::cuda, from.stream.device};
      track.spans.push_back(span);
    }
  s.used = 0;
  s.origins.clear();  // clocks drift apart, so the next recording has its own
  std::vector<profile::Track> result;
  for (auto& [handle, track] : tracks) result.push_back(std::move(track));
  return result;
}

}  // namespace fathom::cuda
