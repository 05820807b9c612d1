#include "bench/profile_trace.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.h"

namespace fathom::bench {
namespace {

using profile::Span;

std::string text_of(Device device) {
  std::ostringstream text;
  text << device;
  return text.str();
}

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }

// Nanoseconds as microseconds, exactly: rounding would let neighbours overlap.
std::string microseconds(int64_t ns) {
  char text[40];
  std::snprintf(text, sizeof text, "%lld.%03d", static_cast<long long>(ns / 1000), int(ns % 1000));
  return text;
}

class Writer {
 public:
  explicit Writer(int64_t origin_ns) : origin_ns_(origin_ns) {}

  // What is about a process or, with a tid, about a thread.
  void meta(const char* name, int pid, int tid, const std::string& args) {
    begin_event();
    out_ << "{\"ph\":\"M\",\"name\":\"" << name << "\",\"pid\":" << pid << ",\"tid\":" << tid
         << ",\"args\":{" << args << "}}";
  }

  void name(int pid, int tid, const std::string& text) {
    meta(tid == 0 ? "process_name" : "thread_name", pid, tid, "\"name\":" + quoted(text));
    meta(tid == 0 ? "process_sort_index" : "thread_sort_index", pid, tid,
         "\"sort_index\":" + std::to_string(tid == 0 ? pid : tid));
  }

  void span(const Span& span, int pid, int tid) {
    begin_event();
    out_ << "{\"ph\":\"X\",\"name\":" << name_of(span) << ",\"cat\":\"" << category(span.kind)
         << "\",\"pid\":" << pid << ",\"tid\":" << tid
         << ",\"ts\":" << microseconds(span.begin_ns - origin_ns_)
         << ",\"dur\":" << microseconds(span.end_ns - span.begin_ns) << ",\"args\":{\"pass\":\""
         << name_of(span.place.pass) << "\",\"layer\":" << layer(span.place.layer) << "}}";
  }

  void memory(const profile::MemoryPoint& point, int pid) {
    begin_event();
    out_ << "{\"ph\":\"C\",\"name\":\"tensors\",\"pid\":" << pid
         << ",\"tid\":0,\"ts\":" << microseconds(point.at_ns - origin_ns_)
         << ",\"args\":{\"bytes\":" << point.bytes << "}}";
  }

  std::string finish() {
    return "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"producer\":\"fathom profile\"},\n"
           "\"traceEvents\":[" +
           out_.str() + "\n]}\n";
  }

 private:
  void begin_event() {
    if (!first_) out_ << ",";
    first_ = false;
    out_ << "\n";
  }

  static std::string_view name_of(profile::Pass pass) { return profile::name_of(pass); }

  static std::string name_of(const Span& span) {
    switch (span.kind) {
      case Span::Kind::window: return quoted(span.window);
      case Span::Kind::layer: return layer(span.place.layer);
      case Span::Kind::wait: return "\"wait\"";
      case Span::Kind::op:
      case Span::Kind::work: break;
    }
    return quoted(profile::op_name(span.where));
  }

  static const char* category(Span::Kind kind) {
    switch (kind) {
      case Span::Kind::window: return "window";
      case Span::Kind::layer: return "layer";
      case Span::Kind::op: return "op";
      case Span::Kind::work: return "work";
      case Span::Kind::wait: return "wait";
    }
    fail("trace: unknown kind ", int(kind));
  }

  static std::string layer(profile::LayerId id) { return quoted(profile::layer_path(id)); }

  const int64_t origin_ns_;
  std::ostringstream out_;
  bool first_ = true;
};

// The tape's layers without a name say nothing.
bool is_drawn(const Span& span) { return span.kind != Span::Kind::layer || span.place.layer != 0; }

}  // namespace

std::string trace_of(const profile::Recording& recording) {
  int64_t origin_ns = INT64_MAX;
  std::map<std::string, int> pids{{"cpu", 1}};
  const auto pid_of = [&](Device device) {
    return pids.try_emplace(text_of(device), int(pids.size()) + 1).first->second;
  };
  std::vector<profile::MemoryPoint> memory;
  for (const auto* tracks : {&recording.threads, &recording.streams})
    for (const profile::Track& track : *tracks) {
      if (!track.spans.empty()) origin_ns = std::min(origin_ns, track.spans.front().begin_ns);
      for (const profile::MemoryPoint& point : track.memory) {
        origin_ns = std::min(origin_ns, point.at_ns);
        memory.push_back(point);
        pid_of(point.device);
      }
      pid_of(track.device);
    }
  std::stable_sort(memory.begin(), memory.end(),
                   [](const auto& a, const auto& b) { return a.at_ns < b.at_ns; });

  Writer writer(origin_ns);
  for (const auto& [device, pid] : pids) writer.name(pid, 0, device);
  for (const auto* tracks : {&recording.threads, &recording.streams}) {
    int tid = 0;
    for (const profile::Track& track : *tracks)
      writer.name(pid_of(track.device), ++tid, track.name);
    tid = 0;
    for (const profile::Track& track : *tracks) {
      ++tid;
      for (const Span& span : track.spans)
        if (is_drawn(span)) writer.span(span, pid_of(track.device), tid);
    }
  }
  for (const profile::MemoryPoint& point : memory) writer.memory(point, pid_of(point.device));
  return writer.finish();
}

}  // namespace fathom::bench
