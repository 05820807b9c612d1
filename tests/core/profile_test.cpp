#include "core/profile.h"

#include <algorithm>
#include <thread>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "tests/testing.h"

namespace fathom {

using profile::Span;
using Kind = profile::Span::Kind;

static profile::Recording recorded(auto&& f) {
  profile::take();
  profile::resume();
  f();
  profile::pause();
  return profile::take();
}

static std::vector<Span> of_kind(const profile::Track& track, Kind kind) {
  std::vector<Span> found;
  for (const Span& span : track.spans)
    if (span.kind == kind) found.push_back(span);
  return found;
}

static std::vector<std::string> op_names(const profile::Track& track) {
  std::vector<std::string> names;
  for (const Span& span : of_kind(track, Kind::op)) {
    const std::string name = profile::op_name(span.where);
    if (name != "tensor.allocate" && name != "tensor.release") names.push_back(name);
  }
  return names;
}

// Every span lies in the one around it, or begins when the one before has ended.
static bool is_nested(const profile::Track& track) {
  std::vector<const Span*> open;
  int64_t last_ns = 0;
  for (const Span& span : track.spans) {
    if (span.begin_ns < last_ns || span.end_ns < span.begin_ns) return false;
    last_ns = span.begin_ns;
    while (!open.empty() && open.back()->end_ns <= span.begin_ns) open.pop_back();
    if (!open.empty() && span.end_ns > open.back()->end_ns) return false;
    open.push_back(&span);
  }
  return true;
}

TEST_CASE("profile: ops are named after their functions, layers are paths, spans are nested") {
  const Tensor x = random_tensor({3, 5}), w = random_tensor({4, 5});
  const profile::Recording recording = recorded([&] {
    const profile::Window window("all");
    const profile::Layer outer("outer");
    const Tensor y = relu(x);
    const profile::Layer inner("inner", 7);
    linear(y, w, {});
  });
  REQUIRE(recording.threads.size() >= 1);
  CHECK(recording.streams.empty());
  const profile::Track& main = recording.threads[0];
  CHECK(main.name == "main");
  CHECK(is_nested(main));
  CHECK(op_names(main) == std::vector<std::string>{"elementwise.relu", "linear"});
  const std::vector<Span> layers = of_kind(main, Kind::layer);
  REQUIRE(layers.size() == 2);
  CHECK(profile::layer_path(layers[0].place.layer) == "outer");
  CHECK(profile::layer_path(layers[1].place.layer) == "outer.inner.7");
  const auto op = [&](const std::string& name) {
    for (const Span& span : of_kind(main, Kind::op))
      if (profile::op_name(span.where) == name) return span;
    fail("no op ", name);
  };
  CHECK(op("elementwise.relu").place == layers[0].place);
  CHECK(op("linear").place == layers[1].place);
  REQUIRE(main.spans[0].kind == Kind::window);
  CHECK(std::string(main.spans[0].window) == "all");
  CHECK(profile::t_place == profile::Place{});
}

TEST_CASE("profile: a gradient belongs to the layer of its op") {
  const Tensor x = random_tensor({6, 5});
  Tensor w = random_tensor({4, 5});
  w.set_requires_grad();
  const profile::Recording recording = recorded([&] {
    Tensor y;
    {
      const profile::Layer layer("first");
      y = linear(x, w, {});
    }
    {
      const profile::Layer layer("second");
      y = relu(y);
    }
    backward(y, full(y.shape(), 1));
  });
  std::vector<std::string> seen;
  for (const Span& span : of_kind(recording.threads[0], Kind::op)) {
    const std::string name = profile::op_name(span.where);
    if (span.place.pass == profile::Pass::backward && !name.starts_with("tensor."))
      seen.push_back(profile::layer_path(span.place.layer) + " " + name);
  }
  CHECK(seen ==
        std::vector<std::string>{"second elementwise.relu", "first linear.weight_gradient"});
  CHECK(is_nested(recording.threads[0]));
}

TEST_CASE("profile: workers' chunks are one span a job, of the op that asked for them") {
  const int threads = thread_count();
  set_thread_count(3);
  const auto busy = [](int64_t, int64_t) {
    const int64_t until = profile::now_ns() + 200'000;
    while (profile::now_ns() < until) {
    }
  };
  const profile::Recording recording = recorded([&] {
    const profile::Layer layer("here");
    const profile::Op op;
    parallel_for(100, 1, busy);
  });
  set_thread_count(threads);
  const std::vector<Span> ops = of_kind(recording.threads[0], Kind::op);
  REQUIRE(ops.size() == 1);
  CHECK(of_kind(recording.threads[0], Kind::wait).size() == 1);
  CHECK(is_nested(recording.threads[0]));
  // On a busy machine a worker may come too late for all 100 chunks, but hardly both.
  REQUIRE(recording.threads.size() >= 2);
  for (size_t i = 1; i < recording.threads.size(); ++i) {
    const profile::Track& worker = recording.threads[i];
    CAPTURE(worker.name);
    CHECK(worker.name.starts_with("worker "));
    REQUIRE(worker.spans.size() == 1);
    const Span& work = worker.spans[0];
    CHECK(work.kind == Kind::work);
    CHECK(work.place == ops[0].place);
    CHECK(work.where.line() == ops[0].where.line());
    CHECK(work.begin_ns >= ops[0].begin_ns);
    CHECK(work.end_ns <= ops[0].end_ns);
    CHECK(work.end_ns - work.begin_ns >= 200'000);
  }
}

TEST_CASE("profile: memory follows the allocator") {
  const int64_t before = allocator::statistics().current_bytes;
  const profile::Recording recording = recorded([&] {
    const Tensor a = empty({1000});
    const Tensor b = empty({500});
  });
  const std::vector<profile::MemoryPoint>& memory = recording.threads[0].memory;
  std::vector<int64_t> bytes;
  for (const profile::MemoryPoint& point : memory) bytes.push_back(point.bytes - before);
  CHECK(bytes == std::vector<int64_t>{4000, 6000, 4000, 0});
  CHECK(std::is_sorted(memory.begin(), memory.end(),
                       [](const auto& a, const auto& b) { return a.at_ns < b.at_ns; }));
}

TEST_CASE("profile: nothing is written down while nobody asks, nor twice") {
  const Tensor x = random_tensor({3, 5});
  profile::take();
  relu(x);
  profile::resume();
  profile::pause();
  relu(x);
  CHECK_FALSE(profile::is_on());
  const profile::Recording recording = profile::take();
  REQUIRE(recording.threads.size() == 1);
  CHECK(recording.threads[0].spans.empty());
  CHECK(recorded([] {}).threads[0].spans.empty());
}

TEST_CASE("profile: a thread of its own has a track of its own, and values do not change") {
  const Tensor x = random_tensor({64, 33}), w = random_tensor({17, 33});
  const Tensor expected = linear(x, w, {});
  Tensor there;
  const profile::Recording recording =
      recorded([&] { std::thread([&] { there = linear(x, w, {}); }).join(); });
  CHECK(values(there) == values(expected));
  REQUIRE(recording.threads.size() >= 2);
  CHECK(op_names(recording.threads[0]).empty());
  const auto& other = recording.threads[1];
  CHECK(other.name == "thread 1");
  CHECK(op_names(other) == std::vector<std::string>{"linear"});
}

}  // namespace fathom
