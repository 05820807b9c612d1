#include "core/profile.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "core/cuda/profile.h"
#include "core/stream.h"

namespace fathom::profile {

namespace {

using detail::Opened;

// What one thread wrote down. Only the thread itself touches it until pause().
struct Log {
  int worker = 0;
  bool in_job = false;  // this thread runs chunks of its own loop
  std::vector<Span> spans;
  std::vector<size_t> open;  // indices of the spans that have not ended, outermost first
  std::vector<MemoryPoint> memory;
};

struct State {
  std::mutex mutex;
  std::vector<std::unique_ptr<Log>> logs;
  std::atomic<uint64_t> generation{1};  // grows when the logs are taken away
  std::map<std::pair<LayerId, std::string>, LayerId> children;
  std::deque<std::string> paths{""};  // by LayerId
};

State& state() {
  static State* const instance = new State;  // outlives every thread
  return *instance;
}

bool wants_ranges() {
  const char* const asked = std::getenv("FATHOM_NVTX");
  if (asked && *asked) return std::string_view(asked) != "0";
  return std::getenv("NVTX_INJECTION64_PATH") != nullptr;  // set by Nsight for its target
}

std::atomic<bool> recording{false};
const bool ranges = [] {
  const bool wanted = wants_ranges() && cuda::has_ranges();
  if (wanted) detail::hooks_on = true;
  return wanted;
}();

std::atomic<uint64_t> jobs{0};
thread_local int worker_number = 0;

Log& my_log() {
  thread_local Log* log = nullptr;
  thread_local uint64_t generation = 0;
  State& s = state();
  if (generation != s.generation.load(std::memory_order_acquire)) {
    const std::lock_guard lock(s.mutex);
    s.logs.push_back(std::make_unique<Log>());
    log = s.logs.back().get();
    log->worker = worker_number;
    log->spans.reserve(1 << 12);
    generation = s.generation.load(std::memory_order_relaxed);
  }
  return *log;
}

bool is_recording() { return recording.load(std::memory_order_relaxed); }

Span& begin_span(Span::Kind kind) {
  Log& log = my_log();
  log.open.push_back(log.spans.size());
  Span& span = log.spans.emplace_back();
  span.kind = kind;
  span.place = t_place;
  return span;
}

// Ends the innermost span.
Span& end_span() {
  const int64_t now = now_ns();
  Log& log = my_log();
  Span& span = log.spans[log.open.back()];
  log.open.pop_back();
  span.end_ns = now;
  return span;
}

LayerId child_of(LayerId parent, std::string_view name) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto [it, added] = s.children.try_emplace({parent, std::string(name)}, 0);
  if (added) {
    it->second = LayerId(s.paths.size());
    s.paths.push_back(parent == 0 ? std::string(name) : s.paths[parent] + "." + std::string(name));
  }
  return it->second;
}

// By begin, the outer one first; work was written down when it ended.
void sort_spans(std::vector<Span>& spans) {
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.begin_ns != b.begin_ns ? a.begin_ns < b.begin_ns : a.end_ns > b.end_ns;
  });
}

}  // namespace

std::string_view name_of(Pass pass) {
  switch (pass) {
    case Pass::forward: return "forward";
    case Pass::backward: return "backward";
    case Pass::update: return "update";
  }
  return "?";
}

const std::string& layer_path(LayerId layer) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return s.paths.at(layer);
}

// "fathom::Tensor fathom::{anonymous}::input_gradient(const fathom::Tensor&)::<lambda()>" of
// kernels/linear.cpp is linear.input_gradient.
static std::string make_op_name(std::string_view file, std::string_view function) {
  if (function.empty()) return "parallel_for";
  file = file.substr(file.rfind('/') + 1);
  file = file.substr(0, file.find('.'));
  for (const std::string_view anonymous : {"{anonymous}::", "(anonymous namespace)::"})
    if (const size_t at = function.find(anonymous); at != std::string_view::npos)
      function = function.substr(at + anonymous.size());
  function = function.substr(0, function.find('('));
  function = function.substr(function.rfind(' ') + 1);
  function = function.substr(function.rfind(':') + 1);
  if (function.find(file) != std::string_view::npos) return std::string(function);
  return std::string(file) + "." + std::string(function);
}

const std::string& op_name(const std::source_location& where) {
  // By the addresses of the literals; of the function alone, two files may share it.
  thread_local std::map<std::pair<const char*, const char*>, std::string> names;
  std::string& name = names[{where.file_name(), where.function_name()}];
  if (name.empty()) name = make_op_name(where.file_name(), where.function_name());
  return name;
}

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void resume() {
  my_log();  // so that the caller's is the first
  recording = true;
  detail::hooks_on = true;
}

void pause() {
  recording = false;
  detail::hooks_on = ranges;
}

Recording take() {
  std::vector<std::unique_ptr<Log>> logs;
  {
    State& s = state();
    const std::lock_guard lock(s.mutex);
    logs = std::exchange(s.logs, {});
    s.generation.fetch_add(1, std::memory_order_release);
  }
  if (!logs.empty())
    std::stable_sort(logs.begin() + 1, logs.end(),
                     [](const auto& a, const auto& b) { return a->worker < b->worker; });
  Recording result;
  int others = 0;
  for (const auto& log : logs) {
    Track& track = result.threads.emplace_back();
    if (log == logs.front())
      track.name = "main";
    else if (log->worker > 0)
      track.name = "worker " + std::to_string(log->worker);
    else
      track.name = "thread " + std::to_string(++others);
    track.spans = std::move(log->spans);
    track.memory = std::move(log->memory);
    sort_spans(track.spans);
  }
  result.streams = cuda::take_streams(result.threads);
  for (Track& stream : result.streams) sort_spans(stream.spans);
  return result;
}

void Op::begin(std::source_location where, const CudaStream* stream) {
  opened_ = Opened::range;
  if (ranges) cuda::begin_range(op_name(where).c_str());
  if (!is_recording() || worker_number > 0 || my_log().in_job) return;  // a chunk's are its op's
  opened_ = Opened::span;
  stream_ = stream;
  Span& span = begin_span(Span::Kind::op);
  span.where = where;
  if (stream) span.marks[0] = cuda::mark(*stream);
  span.begin_ns = now_ns();
}

void Op::end() {
  if (opened_ == Opened::span) {
    Span& span = end_span();
    if (stream_) span.marks[1] = cuda::mark(*stream_);
  }
  if (ranges) cuda::end_range();
}

void Layer::enter(std::string_view name) { enter(child_of(t_place.layer, name)); }

void Layer::enter(LayerId layer) {
  opened_ = Opened::range;
  outer_ = std::exchange(t_place.layer, layer);
  if (ranges) cuda::begin_range(layer_path(layer).c_str());
  if (!is_recording()) return;
  opened_ = Opened::span;
  begin_span(Span::Kind::layer).begin_ns = now_ns();
}

void Layer::leave() {
  t_place.layer = outer_;
  if (opened_ == Opened::span) end_span();
  if (ranges) cuda::end_range();
}

void Window::begin(const char* name) {
  opened_ = Opened::range;
  if (ranges) cuda::begin_range(name);
  if (!is_recording()) return;
  opened_ = Opened::span;
  Span& span = begin_span(Span::Kind::window);
  span.window = name;
  span.begin_ns = now_ns();
}

void Window::end() {
  if (opened_ == Opened::span) end_span();
  if (ranges) cuda::end_range();
}

Job begin_job() {
  if (!is_recording()) return {};
  Job job{
      .number = jobs.fetch_add(1, std::memory_order_relaxed) + 1, .where = {}, .place = t_place};
  Log& log = my_log();
  log.in_job = true;
  for (auto it = log.open.rbegin(); it != log.open.rend(); ++it)
    if (log.spans[*it].kind == Span::Kind::op) {
      job.where = log.spans[*it].where;
      break;
    }
  return job;
}

// Chunks one after another are one span.
void end_work(const Job& job, int64_t begin_ns) {
  Log& log = my_log();
  const int64_t end_ns = now_ns();
  if (!log.spans.empty() && log.spans.back().kind == Span::Kind::work &&
      log.spans.back().job == job.number) {
    log.spans.back().end_ns = end_ns;
    return;
  }
  log.spans.push_back({.kind = Span::Kind::work,
                       .place = job.place,
                       .where = job.where,
                       .begin_ns = begin_ns,
                       .end_ns = end_ns,
                       .job = job.number});
}

void end_wait(const Job& job, int64_t begin_ns) {
  my_log().in_job = false;
  my_log().spans.push_back({.kind = Span::Kind::wait,
                            .place = job.place,
                            .where = job.where,
                            .begin_ns = begin_ns,
                            .end_ns = now_ns(),
                            .job = job.number});
}

void set_worker(int number) { worker_number = number; }

void set_memory(Device device, int64_t bytes) {
  if (is_recording()) my_log().memory.push_back({now_ns(), device, bytes, t_place});
}

}  // namespace fathom::profile
