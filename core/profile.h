#pragma once

#include <atomic>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "core/device.h"

namespace fathom {
struct CudaStream;
}

/// What a step spends its time on: ops, the layers they belong to, the chunks that worker threads
/// run, and the bytes in use. Off, a hook is one branch on a flag. On, it writes down two times, in
/// a list of the thread's own. The same hooks make NVTX ranges of layers and ops when a tool of
/// NVIDIA asks for them (docs/profile.md).
namespace fathom::profile {

/// The part of a training step; inference is all forward.
enum class Pass : uint8_t { forward, backward, update };
std::string_view name_of(Pass pass);

/// A path of names such as "pretrained.blocks.3.attn"; 0 is the empty path.
using LayerId = uint32_t;
const std::string& layer_path(LayerId layer);

/// What the work of a thread is part of.
struct Place {
  LayerId layer = 0;
  Pass pass = Pass::forward;
  bool operator==(const Place&) const = default;
};

/// A span of time on one thread or stream. Those of one track are nested or apart.
struct Span {
  enum class Kind : uint8_t {
    window,  // a part of the program with a name of its own
    layer,
    op,
    work,  // chunks of a parallel_for on a worker thread
    wait,  // of the thread that called parallel_for, for the workers' last chunks
  };
  Kind kind = Kind::op;
  Place place;
  std::source_location where;  // of the op; of work and wait: of the op that they are a part of
  const char* window = "";     // the name of a window
  int64_t begin_ns = 0, end_ns = 0;  // of std::chrono::steady_clock
  uint64_t job = 0;                  // of work and wait: which parallel_for
  int64_t marks[2] = {-1, -1};       // of an op on a CUDA device: points in its stream
};

/// The name of an op: the function that stands at the place, "linear_gelu", preceded by the name of
/// its file where it does not contain that: "conv2d.gradients". "parallel_for" for no place.
const std::string& op_name(const std::source_location& where);

/// Bytes in use on a device from a moment on.
struct MemoryPoint {
  int64_t at_ns = 0;
  Device device;
  int64_t bytes = 0;
  Place place;
};

struct Track {
  std::string name;         // "main", "worker 1", "stream 0"
  Device device;            // of a stream; threads are the CPU's
  std::vector<Span> spans;  // by begin, the outer one first
  std::vector<MemoryPoint> memory;
};

struct Recording {
  std::vector<Track> threads;  // the one that called resume() first, then workers by number
  std::vector<Track> streams;  // ops alone, with the times at which the device ran them
};

/// Writes down what all threads do from now on, until pause(). For pause() and take() no other
/// thread may be inside an op.
void resume();
void pause();
/// What was written down since the last take(), in order. Waits for the CUDA streams in it.
Recording take();

/// Where work of this thread belongs now.
inline constinit thread_local Place t_place{};

namespace detail {
inline std::atomic<bool> hooks_on{false};
enum class Opened : uint8_t { nothing, range, span };  // by a scope: for NVTX alone, or recorded
}  // namespace detail

/// Whether anything listens.
inline bool is_on() { return detail::hooks_on.load(std::memory_order_relaxed); }

/// One op, from here to the end of the scope: visit_stream opens it.
class Op {
 public:
  /// With a stream, which must outlive the scope, its device's times are written down too.
  explicit Op(std::source_location where = std::source_location::current(),
              const CudaStream* stream = nullptr) {
    if (is_on()) [[unlikely]]
      begin(where, stream);
  }
  ~Op() {
    if (opened_ != detail::Opened::nothing) [[unlikely]]
      end();
  }
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

 private:
  void begin(std::source_location where, const CudaStream* stream);
  void end();
  const CudaStream* stream_ = nullptr;
  detail::Opened opened_ = detail::Opened::nothing;
};

/// A layer: ops in the scope, and their adjoints later, belong to it. Its path is that of the layer
/// around it, a dot and the name.
class Layer {
 public:
  explicit Layer(std::string_view name) {
    if (is_on()) [[unlikely]]
      enter(name);
  }
  /// The layer `name.index`.
  Layer(std::string_view name, int64_t index) {
    if (is_on()) [[unlikely]]
      enter(std::string(name) + "." + std::to_string(index));
  }
  /// One that was entered before, whatever is around: for the walk over the tape.
  explicit Layer(LayerId layer) {
    if (is_on()) [[unlikely]]
      enter(layer);
  }
  ~Layer() {
    if (opened_ != detail::Opened::nothing) [[unlikely]]
      leave();
  }
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

 private:
  void enter(std::string_view name);
  void enter(LayerId layer);
  void leave();
  LayerId outer_ = 0;
  detail::Opened opened_ = detail::Opened::nothing;
};

/// Work in the scope belongs to the pass.
class PassScope {
 public:
  explicit PassScope(Pass pass) : outer_(t_place.pass) { t_place.pass = pass; }
  ~PassScope() { t_place.pass = outer_; }
  PassScope(const PassScope&) = delete;
  PassScope& operator=(const PassScope&) = delete;

 private:
  Pass outer_;
};

/// A part of the program, for example a step; the name must outlive the recording.
class Window {
 public:
  explicit Window(const char* name) {
    if (is_on()) [[unlikely]]
      begin(name);
  }
  ~Window() {
    if (opened_ != detail::Opened::nothing) [[unlikely]]
      end();
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

 private:
  void begin(const char* name);
  void end();
  detail::Opened opened_ = detail::Opened::nothing;
};

/// For parallel_for: what its chunks are a part of.
struct Job {
  uint64_t number = 0;  // 0: nobody listens
  std::source_location where;
  Place place;
};
Job begin_job();
int64_t now_ns();
/// The calling thread worked on a chunk of the job, or waited for its workers, since begin_ns.
void end_work(const Job& job, int64_t begin_ns);
void end_wait(const Job& job, int64_t begin_ns);
/// Names the calling thread: worker `number`, from 1.
void set_worker(int number);

/// For allocators: so many bytes are in use from now on.
void set_memory(Device device, int64_t bytes);

}  // namespace fathom::profile
