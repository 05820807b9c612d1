#include "train/config.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/testing.h"

namespace fathom {

using Catch::Contains;

static TrainConfig parsed(std::string_view text, std::vector<std::string> overrides = {}) {
  return parse_config(text, "run.json", overrides);
}

TEST_CASE("config: an empty one is Depth Anything V1's") {
  const TrainConfig config = parsed("{}");
  CHECK(config.optimizer.lr == 5e-6);
  CHECK(config.optimizer.decoder_factor == 10);
  CHECK(config.schedule.kind == "linear");
  CHECK(config.teacher.epochs == 20);
  CHECK(config.student.unlabeled_batch == 2 * config.student.labeled_batch);
  CHECK(config.student.align_margin == 0.85);
  CHECK(config.augment.cutmix == 0.5);
  CHECK(config.data.size == 518);
  CHECK(model_config(config) == depth_anything_config(1, ModelSize::S));
}

TEST_CASE("config: values, comments, whole numbers in any spelling, one text for a list") {
  const TrainConfig config = parsed(R"({
    // as in the paper
    "model": { "size": "L", /* of DINOv2 */ "encoder": "vitl.pth" },
    "teacher": { "batch": 2e1, "loss": { "gradient_weight": 2 } },
    "data": { "labeled": "a.jsonl", "validation": ["b.jsonl", "c.jsonl"] }
  })");
  CHECK(config.model.size == "L");
  CHECK(config.model.encoder == "vitl.pth");
  CHECK(config.teacher.batch == 20);
  CHECK(config.teacher.loss.gradient_weight == 2);
  CHECK(config.data.labeled == std::vector<std::string>{"a.jsonl"});
  CHECK(config.data.validation == std::vector<std::string>{"b.jsonl", "c.jsonl"});
}

TEST_CASE("config: what is written is read back, bit for bit") {
  TrainConfig config = parsed("{}");
  config.optimizer.lr = 0.1 + 0.2;
  config.seed = 9007199254740991;
  config.data.labeled = {"a \"quoted\" name", "\xc3\xa9"};
  config.student.loss.trim = 1.0 / 3;
  const std::string text = config_text(config);
  CHECK(config_text(parsed(text)) == text);
  CHECK(parsed(text).optimizer.lr == config.optimizer.lr);
  CHECK(parsed(text).student.loss.trim == 1.0 / 3);
  CHECK(config_differences(config, parsed(text)).empty());
}

TEST_CASE("config: overrides win, whatever their type") {
  const TrainConfig config =
      parsed(R"({"optimizer": {"lr": 1e-3}})",
             {"optimizer.lr=2e-4", "model.encoder=weights/vits.pth", "label.flip=true",
              R"(data.labeled=["x.jsonl","y.jsonl"])", "student.loss.trim=0.1", "seed=7"});
  CHECK(config.optimizer.lr == 2e-4);
  CHECK(config.model.encoder == "weights/vits.pth");
  CHECK(config.label.flip);
  CHECK(config.data.labeled == std::vector<std::string>{"x.jsonl", "y.jsonl"});
  CHECK(config.student.loss.trim == 0.1);
  CHECK(config.seed == 7);
}

TEST_CASE("config: a wrong value is refused by its key, the value and what is allowed") {
  struct Case {
    const char *text, *words;
  };
  const std::vector<Case> cases{
      {R"({"optimizer": {"lr": -1}})",
       "run.json: optimizer.lr is -1, but must be above 0 and at most 10"},
      {R"({"optimizer": {"lr": 0}})", "optimizer.lr is 0, but must be above 0"},
      {R"({"optimizer": {"lr": "fast"}})", "optimizer.lr is \"fast\", but must be a number"},
      {R"({"teacher": {"batch": 1.5}})", "teacher.batch is 1.5, but must be a whole number"},
      {R"({"teacher": {"batch": 0}})", "teacher.batch is 0, but must be between 1 and 65536"},
      {R"({"teacher": {"batch": 1e300}})", "teacher.batch is 1e+300, but must be a whole number"},
      {R"({"teacher": {"loss": {"trim": 2}}})", "teacher.loss.trim is 2, but must be between 0"},
      {R"({"model": {"size": "XL"}})", "model.size is \"XL\", but must be S, B, L, g or custom"},
      {R"({"label": {"flip": 1}})", "label.flip is 1, but must be true or false"},
      {R"({"data": []})", "data is [], but must be a section"},
      {R"({"data": {"labeled": [1]}})", "data.labeled[0] is 1, but must be a text"},
      {R"({"data": {"size": 100}})", "data.size is 100, but must be a multiple of 14"},
      {R"({"data": {"mixing": "weighted", "labeled": ["a", "b"], "weights": [1]}})",
       "data.weights has 1 numbers for 2 labeled manifests"},
      {R"({"metric": {"min_depth_m": 30}})",
       "metric.min_depth_m is 30, but must be below metric.max_depth_m, 20"},
      {R"({"model": {"channels": 64}})", "model.size is S, but model.channels"},
      {R"({"model": {"size": "custom", "channels": 100}})",
       "model.channels is 100, but must be a multiple of 64"},
      {R"({"model": {"size": "custom", "channels": 64, "layers": 4, "features": 8,
           "out_channels": [8, 8, 8, 8], "taps": [0, 2, 1, 3]}})",
       "model.taps[2] is 1, but taps must ascend"},
      {R"({"model": {"size": "g"}})", "V1 has no giant model"},
      {"", "run.json: not JSON: parse error at line 1, column 1"},
      {"{\n \"seed\": 1,,}", "parse error at line 2"},
      {R"({"seed": 1, "seed": 2})", "run.json: the key seed stands twice in one section"},
      {"[]", "but must be a section"},
  };
  for (const auto& [text, words] : cases) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parsed(text), Contains(words));
  }
}

TEST_CASE("config: an unknown key is refused, and the nearest one named") {
  CHECK_THROWS_WITH(parsed(R"({"optimizer": {"lrr": 1}})"),
                    "run.json: there is no key optimizer.lrr; the nearest is optimizer.lr");
  CHECK_THROWS_WITH(parsed(R"({"optimiser": {"lr": 1}})"),
                    "run.json: there is no key optimiser; the nearest is optimizer");
  CHECK_THROWS_WITH(parsed(R"({"cutmix": 1})"),
                    "run.json: there is no key cutmix; the nearest is augment.cutmix");
  CHECK_THROWS_WITH(parsed("{}", {"student.algin_weight=1"}),
                    Contains("--set student.algin_weight=1: there is no key") &&
                        Contains("the nearest is student.align_weight"));
}

TEST_CASE("config: a wrong override is refused by its own words") {
  CHECK_THROWS_WITH(parsed("{}", {"optimizer.lr=-1"}),
                    "--set optimizer.lr=-1: optimizer.lr is -1, but must be above 0 and at most "
                    "10");
  CHECK_THROWS_WITH(parsed("{}", {"optimizer.lr"}), Contains("expected a key and a value"));
  CHECK_THROWS_WITH(parsed("{}", {"=1"}), Contains("expected a key and a value"));
  CHECK_THROWS_WITH(parsed("{}", {"a..b=1"}), Contains("is not a dotted key"));
  CHECK_THROWS_WITH(parsed("{}", {".seed=1"}), Contains("expected a key and a value"));
  CHECK_THROWS_WITH(parsed("{}", {"seed.=1"}), Contains("is not a dotted key"));
  CHECK_THROWS_WITH(parsed("{}", {"data=3"}), Contains("data is 3, but must be a section"));
}

TEST_CASE("config: every key of the text is one that can be set") {
  const auto flat = nlohmann::json::parse(config_text(parsed("{}"))).flatten();
  CHECK(flat.size() > 80);
  for (const auto& [pointer, value] : flat.items()) {
    std::string key = pointer.substr(1);
    std::ranges::replace(key, '/', '.');
    if (value.is_null()) continue;  // an empty list
    CHECK_NOTHROW(parsed("{}", {key + "=" + value.dump()}));
  }
}

TEST_CASE("config: differences name keys and both values") {
  const TrainConfig before = parsed("{}");
  const TrainConfig after =
      parsed("{}", {"optimizer.lr=1e-4", "data.labeled=a.jsonl", "model.size=B"});
  CHECK(config_differences(before, after) ==
        std::vector<std::string>{R"(model.size: "S" -> "B")", R"(data.labeled: [] -> ["a.jsonl"])",
                                 "optimizer.lr: 5e-06 -> 0.0001"});
}

TEST_CASE("config: a custom model has the widths it asks for") {
  const DepthAnythingConfig model = model_config(parsed(R"({
    "model": {"size": "custom", "channels": 128, "layers": 6, "features": 32,
              "out_channels": [16, 32, 64, 128], "taps": [1, 2, 4, 5]},
    "data": {"size": 98}})"));
  CHECK(model.encoder.channels == 128);
  CHECK(model.encoder.heads == 2);
  CHECK(model.encoder.hidden == 512);
  CHECK(model.encoder.table == 7);
  CHECK(model.head.out_channels == std::array<int64_t, 4>{16, 32, 64, 128});
  CHECK(model.taps == std::array<int, 4>{1, 2, 4, 5});
}

}  // namespace fathom
