#include "bench/profile_tables.h"

#include "tests/testing.h"

namespace fathom::bench {

using profile::Pass;
using profile::Span;
using Kind = profile::Span::Kind;

static std::source_location outer() { return std::source_location::current(); }
static std::source_location inner() { return std::source_location::current(); }

static profile::LayerId layer_named(const std::string& name) {
  profile::resume();
  profile::LayerId id = 0;
  {
    const profile::Layer layer(name);
    id = profile::t_place.layer;
  }
  profile::pause();
  profile::take();
  return id;
}

static Span span(Kind kind, int64_t begin_us, int64_t end_us, profile::Place place = {},
                 std::source_location where = {}) {
  Span s;
  s.kind = kind, s.place = place, s.where = where;
  s.begin_ns = begin_us * 1000, s.end_ns = end_us * 1000;
  if (kind == Kind::window) s.window = "step";
  return s;
}

static const ProfileRow& row(const std::vector<ProfileRow>& rows, const std::string& name) {
  for (const ProfileRow& r : rows)
    if (r.name == name) return r;
  fail("no row ", name);
}

// Two steps of 1 ms. In each the outer op takes 0.8 ms, 0.3 of them in an inner one; the caller
// waits 0.1 ms for a worker that worked 0.2 ms.
static profile::Recording two_steps() {
  const profile::Place a{layer_named("net.blocks.3.mlp"), Pass::forward};
  const profile::Place b{layer_named("net.blocks.11.mlp"), Pass::forward};
  profile::Recording recording;
  profile::Track main{.name = "main", .device = kCpu, .spans = {}, .memory = {}};
  profile::Track worker{.name = "worker 1", .device = kCpu, .spans = {}, .memory = {}};
  for (const int64_t t : {0, 5000}) {
    main.spans.push_back(span(Kind::window, t, t + 1000));
    main.spans.push_back(span(Kind::layer, t + 100, t + 950, a));
    main.spans.push_back(span(Kind::op, t + 100, t + 900, a, outer()));
    main.spans.push_back(span(Kind::op, t + 200, t + 500, b, inner()));
    main.spans.push_back(span(Kind::wait, t + 700, t + 800, a, outer()));
    worker.spans.push_back(span(Kind::work, t + 600, t + 800, a, outer()));
  }
  main.spans.push_back(span(Kind::op, 9000, 9500, a, outer()));  // in no step
  main.memory = {{100'000, kCpu, 7, a}, {200'000, kCpu, 30, b}, {300'000, kCpu, 4, a}};
  recording.threads = {main, worker};
  return recording;
}

TEST_CASE("profile tables: nested ops are counted once, and what is in no op is told") {
  const ProfileTables tables = summarize(two_steps(), kCpu, 2, {}, 1, {});
  CHECK(tables.steps == 2);
  CHECK(tables.step_s == Approx(1e-3));
  CHECK(tables.outside_s == Approx(0.2e-3));
  CHECK(tables.ops_share() == Approx(0.8));
  const std::string file = "profile_tables_test.";
  REQUIRE(tables.ops.size() == 2);
  CHECK(tables.ops[0].name == file + "outer");  // the longest first
  CHECK(tables.ops[0].calls == 1);
  CHECK(tables.ops[0].seconds == Approx(0.5e-3));
  CHECK(tables.ops[0].busy == Approx((0.5 - 0.1 + 0.2) / (2 * 0.5)));
  CHECK(tables.ops[1].name == file + "inner");
  CHECK(tables.ops[1].seconds == Approx(0.3e-3));
  CHECK(tables.ops[1].busy == Approx(0.5));
  REQUIRE(tables.layers.size() == 1);
  CHECK(tables.layers[0].name == "net.blocks.*.mlp");
  CHECK(tables.layers[0].calls == 2);
  CHECK(tables.layers[0].seconds == Approx(0.8e-3));
  REQUIRE(tables.every_layer.size() == 2);
  CHECK(tables.every_layer[0].name == "net.blocks.3.mlp");  // the first first
  CHECK(tables.every_layer[1].name == "net.blocks.11.mlp");
  CHECK(tables.peak_bytes == 30);
  CHECK(tables.peak_layer == "net.blocks.11.mlp");
}

TEST_CASE("profile tables: costs go to the first op that ran at their place") {
  const std::string op = "profile_tables_test.";
  OpCost cost{OpCost::Group::encoder_product, "fc", 2};
  cost.flops = 1e6, cost.image_bytes = 500, cost.weight_bytes = 100;
  const std::string layer = "net.blocks.*.mlp";
  const std::vector<PlacedCost> costs{
      {cost, layer, Pass::forward, {op + "absent", op + "inner", op + "outer"}},
      {cost, layer, Pass::backward, {op + "outer"}},
      {cost, "net.other", Pass::forward, {op + "outer"}}};
  const int64_t batch = 3;
  const Roof roof{.flops = 1e12, .bytes = 1e9};
  const ProfileTables tables = summarize(two_steps(), kCpu, 2, costs, batch, roof);
  const ProfileRow& inner_row = row(tables.ops, op + "inner");
  CHECK(inner_row.flops == 2 * 3 * 1e6);
  CHECK(inner_row.bytes == 2 * (3 * 500 + 100));
  CHECK(inner_row.floor_s == Approx(2 * 3e6 / 1e12));  // 3 us, more than 1600 bytes take
  CHECK(row(tables.ops, op + "outer").flops == 0);
  CHECK(tables.layers[0].flops == inner_row.flops);
  CHECK(row(tables.every_layer, "net.blocks.11.mlp").flops == inner_row.flops);
  CHECK(row(tables.every_layer, "net.blocks.3.mlp").flops == 0);
  CHECK(tables.unplaced_flops == 2 * 2 * 3 * 1e6);
}

TEST_CASE("profile tables: of a GPU the times are those of its streams") {
  profile::Recording recording = two_steps();
  const Device gpu{Device::Type::cuda, 0};
  profile::Track stream{.name = "stream 0", .device = gpu, .spans = {}, .memory = {}};
  stream.spans = {span(Kind::op, 300, 700, {}, outer()), span(Kind::op, 5300, 5500, {}, outer())};
  recording.streams = {stream};
  const ProfileTables tables = summarize(recording, gpu, 1, {}, 1, {});
  REQUIRE(tables.ops.size() == 1);
  CHECK(tables.ops[0].seconds == Approx(0.3e-3));
  CHECK(tables.ops[0].busy == 0);
  CHECK(tables.outside_s == Approx(0.7e-3));
  CHECK(tables.peak_bytes == 0);
}

TEST_CASE("profile tables: a recording without a step is refused") {
  CHECK_THROWS_WITH(summarize({}, kCpu, 1, {}, 1, {}), Catch::Contains("is empty"));
  profile::Recording recording = two_steps();
  recording.threads[0].spans.clear();
  CHECK_THROWS_WITH(summarize(recording, kCpu, 1, {}, 1, {}), Catch::Contains("has no step"));
}

TEST_CASE("profile tables: blocks come together") {
  CHECK(together("pretrained.blocks.3.attn") == "pretrained.blocks.*.attn");
  CHECK(together("blocks.11") == "blocks.*");
  CHECK(together("depth_head.projects.2") == "depth_head.projects.2");
}

}  // namespace fathom::bench
