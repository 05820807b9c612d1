#include "models/checkpoint/detect.h"

#include "tests/models/checkpoint/made_model.h"

namespace fathom {

// An archive of the model's names and shapes, which is all that detection looks at.
static ModelDescription describe(const made::Model& model, const std::string& path,
                                 const std::map<std::string, std::string>& metadata = {},
                                 const ModelFlags& flags = {}) {
  Archive archive = made::archive_of(made::tensors_of(model));
  archive.metadata = metadata;
  const NameMap names = map_names(archive);
  return describe_model(archive, names, path, flags);
}

TEST_CASE("detect: published sizes, parameter counts and tensors") {
  struct Published {
    made::Model model;
    const char* size;
    int64_t parameters, tensors;
  };
  // models.md 2.6.
  const Published p = GENERATE(
      Published{made::kS, "S", 24'785'089, 239}, Published{made::kB, "B", 97'470'785, 239},
      Published{made::kL, "L", 335'315'649, 407}, Published{made::kG, "g", 1'258'132'225, 631});
  const ModelDescription model = describe(p.model, "x.pth");
  CHECK(model.size == p.size);
  CHECK(model.parameters == p.parameters);
  CHECK(model.tensors == p.tensors);
  CHECK(model.heads == p.model.channels / 64);
  CHECK(model.swiglu == p.model.swiglu);
  CHECK(model.positions == 1369);
  CHECK(model.features == p.model.features);
  CHECK(model.head_hidden == 32);
}

TEST_CASE("detect: tiny and odd models are described as custom") {
  const ModelDescription model =
      describe({.channels = 128, .layers = 3, .registers = 4, .features = 6}, "x.pth");
  CHECK(model.size == "custom");
  CHECK(model.channels == 128);
  CHECK(model.layers == 3);
  CHECK(model.hidden == 32);
  CHECK(model.patch == 2);
  CHECK(model.registers == 4);
  CHECK(model.features == 6);
  CHECK((model.out_channels == std::array<int64_t, 4>{4, 8, 12, 16}));
  CHECK_FALSE(describe({.head = false}, "x").has_head);
  CHECK_THROWS_WITH(describe({.channels = 65}, "x"), Catch::Contains("65 channels"));
}

TEST_CASE("detect: published file and folder names") {
  using V = ModelVersion;
  using K = DepthKind;
  struct Case {
    const char* path;
    ModelVersion version;
    DepthKind kind;
    double max_depth_m;
  };
  for (const Case& c : {
           Case{"depth_anything_vits14.pth", V::v1, K::relative, 0},
           Case{"/w/depth_anything_v2_vits.pth", V::v2, K::relative, 0},
           Case{"depth_anything_v2_vitl_fp16.safetensors", V::v2, K::relative, 0},
           Case{"depth_anything_v2_vitb (1).pth", V::v2, K::relative, 0},
           Case{"depth_anything_v2_metric_hypersim_vits.pth", V::v2, K::metric, 20},
           Case{"depth_anything_v2_metric_vkitti_vitl.pth", V::v2, K::metric, 80},
           Case{"depth_anything_v2_vits_my_finetune.pth", V::v2, K::unknown, 0},
           Case{"depth_anything_metric_depth_indoor.pt", V::v1, K::metric, 10},
           Case{"Depth-Anything-V2-Small-hf/model.safetensors", V::v2, K::relative, 0},
           Case{"Depth-Anything-V2-Metric-Outdoor-Large-hf/", V::v2, K::metric, 80},
           Case{"depth-anything-base-hf/model.safetensors", V::v1, K::relative, 0},
           Case{
               "models--depth-anything--Depth-Anything-V2-Base-hf/snapshots/0123/model.safetensors",
               V::v2, K::relative, 0},
           Case{"depth-anything-base-hf/latest.pth", V::unknown, K::unknown, 0},
           Case{"video_depth_anything_vits.pth", V::unknown, K::unknown, 0},
           Case{"depth_anything_3_small.safetensors", V::unknown, K::unknown, 0},
           Case{"latest.pth", V::unknown, K::unknown, 0},
           Case{"", V::unknown, K::unknown, 0},
       }) {
    CAPTURE(c.path);
    const NameHint hint = hint_from_path(c.path);
    CHECK(hint.version == c.version);
    CHECK(hint.kind == c.kind);
    CHECK(hint.max_depth_m == c.max_depth_m);
  }
}

TEST_CASE("detect: flags beat metadata, metadata beats config.json, that beats the name") {
  const char* const name = "depth_anything_v2_metric_vkitti_vits.pth";
  ModelDescription model = describe({}, name);
  CHECK(model.max_depth_m == 80);
  CHECK(model.max_depth_source == "file name");
  const std::map<std::string, std::string> config = {
      {"config.model_type", "depth_anything"},
      {"config.depth_estimation_type", "metric"},
      {"config.max_depth", "35.5"},
      {"config.backbone_config.out_indices", "9,10,11,12"}};
  model = describe({}, name, config);
  CHECK(model.version == ModelVersion::v1);
  CHECK((model.taps == std::vector<int64_t>{8, 9, 10, 11}));
  CHECK(model.max_depth_m == 35.5);
  CHECK(model.max_depth_source == "config.json");
  std::map<std::string, std::string> both = config;
  both["fathom.version"] = "v2";
  both["fathom.max_depth"] = "12";
  model = describe({}, name, both);
  CHECK(model.version == ModelVersion::v2);
  CHECK(model.version_source == "metadata");
  CHECK(model.kind_source == "config.json");
  CHECK(model.max_depth_m == 12);
  model = describe({}, name, both, {.version = ModelVersion::v1, .max_depth_m = 3});
  CHECK(model.version_source == "flag");
  CHECK(model.max_depth_m == 3);
  model = describe({}, name, both, {.kind = DepthKind::relative});
  CHECK(model.max_depth_m == 0);
}

TEST_CASE("detect: asks for the flags that are missing, and no others") {
  const Archive archive = made::archive_of(made::tensors_of({}));
  const NameMap names = map_names(archive);
  const auto words = [&](const ModelFlags& flags) -> std::string {
    try {
      check_known(describe_model(archive, names, "latest.pth", flags), archive);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  CHECK_THAT(words({}),
             Catch::Contains("--model-version v1|v2") && Catch::Contains("--kind relative|metric"));
  CHECK_THAT(words({.version = ModelVersion::v2}), !Catch::Contains("--model-version"));
  CHECK_THAT(words({.version = ModelVersion::v2, .kind = DepthKind::metric}),
             Catch::Contains("--max-depth METRES") && !Catch::Contains("--kind"));
  CHECK(words({.version = ModelVersion::v2, .kind = DepthKind::relative}).empty());
  CHECK(words({ModelVersion::v2, DepthKind::metric, 20.0}).empty());
  CHECK_THAT(words({ModelVersion::v2, DepthKind::metric, -1.0}), Catch::Contains("above 0"));
  CHECK_THAT(words({ModelVersion::v2, DepthKind::relative, 20.0}),
             Catch::Contains("--max-depth is for metric models"));
}

TEST_CASE("detect: metadata that makes no sense, and files without an encoder, are refused") {
  CHECK_THROWS_WITH(describe({}, "x", {{"fathom.version", "3"}}), Catch::Contains("v1 or v2"));
  CHECK_THROWS_WITH(describe({}, "x", {{"fathom.max_depth", "-2"}}), Catch::Contains("above 0"));
  CHECK_THROWS_WITH(describe({}, "x", {{"fathom.max_depth", "nan"}}), Catch::Contains("above 0"));
  const Archive other = made::archive_of({{"conv1.weight", {3}}});
  CHECK_THROWS_WITH(describe_model(other, map_names(other), "x"),
                    Catch::Contains("no DINOv2 encoder") && Catch::Contains("'conv1.weight'"));
}

TEST_CASE("detect: the V1 metric model is known by its ZoeDepth head") {
  std::vector<ExpectedTensor> tensors;
  for (const ExpectedTensor& tensor : made::tensors_of({}))
    tensors.push_back({"core.core." + tensor.name, tensor.shape});
  tensors.push_back({"conditional_log_binomial.mlp.0.weight", {80, 161, 1, 1}});
  const Archive archive = made::archive_of(tensors);
  const ModelDescription model = describe_model(archive, map_names(archive), "x.pt");
  CHECK(model.zoe_head);
  CHECK(model.version == ModelVersion::v1);
  CHECK(model.kind_source == "tensor names");
}

}  // namespace fathom
