#include "train/stages/validation.h"

#include <algorithm>
#include <fstream>

#include "tests/scratch.h"
#include "tests/testing.h"
#include "tests/train/stages/made_scenes.h"
#include "train/stages/model.h"

namespace fathom {

static double value_of(const Evaluation& evaluation, std::string_view name) {
  const auto found =
      std::ranges::find(evaluation.values, name, [](const auto& v) { return v.first; });
  return found == evaluation.values.end() ? -1 : found->second;
}

TEST_CASE("validation: a bad image is skipped, named and counted; more of them end the run") {
  const ScratchFolder scratch("validation");
  make_scenes(scratch.path, 4);
  TrainConfig config = scene_config(scratch.path);
  config.eval.panels = 0;
  const DepthAnything model = starting_model(config, DepthKind::relative);
  const auto evaluate = [&] {
    return validation_of(config, DepthKind::relative, scratch.path)(model);
  };
  const Evaluation whole = evaluate();
  CHECK(value_of(whole, "eval/images") == 4);
  CHECK(value_of(whole, "eval/skipped_images") == -1);
  CHECK(whole.skipped.empty());

  std::ofstream(scratch.path / "001.png") << "not a picture";
  const Evaluation rest = evaluate();
  CHECK(value_of(rest, "eval/images") == 3);
  CHECK(value_of(rest, "eval/skipped_images") == 1);
  REQUIRE(rest.skipped.size() == 1);
  CHECK_THAT(rest.skipped[0], Catch::Contains("001.png"));

  std::filesystem::remove(scratch.path / "002-depth.png");
  CHECK_THROWS_WITH(evaluate(), Catch::Contains("2 of 4 images of data.validation") &&
                                    Catch::Contains("data.max_bad_rate = 0.01"));
  config.data.max_bad_rate = 0.5;
  CHECK(value_of(evaluate(), "eval/images") == 2);
  for (const char* name : {"000.png", "003.png"}) std::filesystem::remove(scratch.path / name);
  CHECK_THROWS_WITH(evaluate(), Catch::Contains("no readable image in data.validation"));
}

}  // namespace fathom
