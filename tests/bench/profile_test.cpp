#include "bench/profile.h"

#include <nlohmann/json.hpp>

#include "tests/testing.h"

namespace fathom::bench {

using Json = nlohmann::json;

static double sum_of(const std::vector<ProfileRow>& rows, double ProfileRow::*figure) {
  double sum = 0;
  for (const ProfileRow& row : rows) sum += row.*figure;
  return sum;
}

TEST_CASE("profile: every cost of the model finds its op, and times add up") {
  const bool training = GENERATE(false, true);
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  CAPTURE(training, dtype);
  const ProfileOptions options{
      .image = {28, 42}, .batch = 2, .dtype = dtype, .training = training, .steps = 2};
  const Profile result = run_profile(options);
  const ProfileTables& t = result.tables;
  CHECK(result.size() == "S/28x42/b2");
  CHECK(result.recorded_s.size() == 2);
  CHECK(result.plain_s.size() == 2);
  CHECK(t.steps == 2);
  CHECK(t.step_s <= 0.5 * (result.recorded_s[0] + result.recorded_s[1]));

  const CostOptions costs{
      .height = 28, .width = 42, .element_bytes = size_of(dtype), .training = training};
  const DepthAnythingConfig model = depth_anything_config(2, ModelSize::S);
  double flops = total_flops(forward_costs(model, costs));
  if (training) flops += total_flops(backward_costs(model, costs));
  CHECK(t.unplaced_flops == 0);
  for (const auto* rows : {&t.ops, &t.layers, &t.every_layer}) {
    CHECK(sum_of(*rows, &ProfileRow::flops) == Approx(2 * flops));
    CHECK(sum_of(*rows, &ProfileRow::seconds) + t.outside_s == Approx(t.step_s));
    for (const ProfileRow& row : *rows) {
      CAPTURE(row.name);
      CHECK(row.seconds > 0);
      CHECK(row.busy >= 0);
      CHECK(row.busy < 1.01);  // clocks of two threads
    }
  }
  if (!training) CHECK(t.peak_bytes < 200 << 20);  // nothing of the meter's, whose copy has 512 MiB
  CHECK(t.peak_bytes > 24 << 20);  // its 24.8 M parameters alone take 47 MiB in bf16

  Report head;
  head.created = "2026-01-02T03:04:05Z", head.command = "fathom profile";
  head.machine = fingerprint(), head.ceilings = result.ceilings;
  const Json json = Json::parse(json_of(result, head));
  CHECK(json.at("schema") == "fathom-profile/1");
  CHECK(json.at("model").at("size") == "S/28x42/b2");
  CHECK(json.at("model").at("training") == training);
  CHECK(json.at("steps_s").size() == 2);
  CHECK(json.at("ops").size() == t.ops.size());
  CHECK(json.at("layers").size() == t.every_layer.size());
  for (const Json& row : json.at("ops")) CHECK(row.at("share").get<double>() > 0);
  const std::string text = text_of(result, true);
  CHECK_THAT(text, Catch::Contains("pretrained.blocks.11.mlp"));
  CHECK_THAT(text_of(result, false), Catch::Contains("pretrained.blocks.*.mlp"));
  if (training) CHECK_THAT(text, Catch::Contains("backward") && Catch::Contains("update"));
}

// Derived: outside of ops are some 100 closures, tensors and checks of about a microsecond each,
// beside 4 GFLOP.
TEST_CASE("profile: ops account for 97 % of a step of inference") {
  const Profile result = run_profile({.image = {98, 98}, .steps = 2});
  CHECK(result.tables.ops_share() > 0.97);
}

TEST_CASE("profile: no steps, and training in f16, are refused") {
  CHECK_THROWS_WITH(run_profile({.steps = 0}), Catch::Contains("at least one step"));
  CHECK_THROWS_WITH(run_profile({.dtype = DType::f16, .training = true}),
                    Catch::Contains("not in f16"));
}

}  // namespace fathom::bench
