#include "bench/profile_trace.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/reduce.h"
#include "tests/models/tiny_model.h"
#include "tests/testing.h"

namespace fathom::bench {

using Json = nlohmann::json;
using Thread = std::pair<int, int>;  // pid, tid

// The rules of the Trace Event Format that importers hold files to.
static void check_trace(const Json& trace) {
  std::map<Thread, std::vector<std::pair<double, double>>> open;
  std::map<Thread, double> last;
  std::map<int, double> counted;
  std::set<Thread> named, used;
  for (const Json& event : trace.at("traceEvents")) {
    const std::string phase = event.at("ph");
    const Thread thread{event.at("pid").get<int>(), event.at("tid").get<int>()};
    const std::string name = event.at("name");
    CAPTURE(event.dump());
    REQUIRE_FALSE(name.empty());
    if (phase == "M") {
      if (name == "thread_name" || name == "process_name") CHECK(named.insert(thread).second);
      CHECK(event.at("args").size() == 1);
      continue;
    }
    const double ts = event.at("ts");
    REQUIRE(ts >= 0);
    if (phase == "C") {
      CHECK(ts >= counted[thread.first]);
      counted[thread.first] = ts;
      CHECK(event.at("args").at("bytes").get<int64_t>() >= 0);
      used.insert({thread.first, 0});
      continue;
    }
    REQUIRE(phase == "X");
    const double end = ts + event.at("dur").get<double>();
    REQUIRE(end >= ts);
    CHECK(ts >= last[thread]);
    last[thread] = ts;
    auto& stack = open[thread];
    const double half_ns = 5e-4;  // ts and dur are whole nanoseconds, their sum in binary is not
    while (!stack.empty() && stack.back().second <= ts + half_ns) stack.pop_back();
    if (!stack.empty()) CHECK(end <= stack.back().second + half_ns);
    stack.push_back({ts, end});
    used.insert(thread);
    used.insert({thread.first, 0});
  }
  CHECK(used == named);
}

TEST_CASE("profile trace: a training step obeys the format, on every thread") {
  const int threads = thread_count();
  set_thread_count(2);
  DepthAnything model = tiny_model();
  require_grad(model);
  profile::take();
  profile::resume();
  {
    const profile::Window window("step \"1\"");
    backward(mean(model(hash_input(70, 98))));
  }
  profile::pause();
  const Json trace = Json::parse(trace_of(profile::take()));
  set_thread_count(threads);
  check_trace(trace);
  std::map<std::string, int> phases, categories;
  std::set<std::string> names;
  for (const Json& event : trace.at("traceEvents")) {
    ++phases[event.at("ph")];
    if (event.at("ph") == "X") ++categories[event.at("cat")];
    names.insert(event.at("name"));
  }
  CHECK(phases["C"] > 100);
  CHECK(categories["window"] == 1);
  CHECK(categories["layer"] > 2 * 4 * 2);  // forward and backward of two halves of four blocks
  CHECK(categories["op"] > 100);
  for (const char* name : {"step \"1\"", "pretrained.blocks.3.attn", "attention", "conv2d"})
    CHECK(names.count(name) == 1);
}

TEST_CASE("profile trace: streams of a GPU are processes of their own") {
  const Device gpu{Device::Type::cuda, 1};
  profile::Span span;
  span.where = std::source_location::current();
  span.begin_ns = 1'000'001, span.end_ns = 2'500'000;
  profile::Recording recording;
  recording.threads = {{.name = "main", .device = kCpu, .spans = {span}, .memory = {}}};
  recording.threads[0].memory = {{1'000'001, gpu, 64, {}}};
  span.begin_ns = 1'500'000;
  recording.streams = {{.name = "stream 0", .device = gpu, .spans = {span}, .memory = {}}};
  const Json trace = Json::parse(trace_of(recording));
  check_trace(trace);
  std::map<std::string, int> processes;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("name") == "process_name")
      processes[event.at("args").at("name")] = event.at("pid");
    if (event.at("ph") != "X") continue;
    const bool on_gpu = event.at("pid") == processes.at("cuda:1");
    CHECK(event.at("ts").get<double>() == Approx(on_gpu ? 499.999 : 0));
    CHECK(event.at("dur").get<double>() == Approx(on_gpu ? 1000 : 1499.999));
  }
  CHECK(processes.size() == 2);
}

}  // namespace fathom::bench
