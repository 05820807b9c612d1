#include "models/checkpoint/names.h"

#include <set>

#include "tests/models/checkpoint/made_model.h"

namespace fathom {

TEST_CASE("names: official to HF and back is the identity for every tensor of every size") {
  made::Model model = *GENERATE(&made::kS, &made::kL, &made::kG);
  model.registers = 4;
  std::set<std::string> seen;
  for (const ExpectedTensor& tensor : made::tensors_of(model)) {
    const std::vector<std::string> hf = hf_names(tensor.name);
    CAPTURE(tensor.name);
    const bool qkv = tensor.name.find(".qkv.") != std::string::npos;
    REQUIRE(hf.size() == (qkv ? 3u : 1u));
    for (size_t i = 0; i < hf.size(); ++i) {
      CHECK(seen.insert(hf[i]).second);  // no two tensors share a name
      const auto back = official_name(hf[i]);
      REQUIRE(back.has_value());
      CHECK(back->name == tensor.name);
      CHECK(back->part == (qkv ? int(i) : -1));
    }
  }
}

TEST_CASE("names: the rows of the published table") {
  const auto hf = [](const char* official) { return hf_names(official).at(0); };
  CHECK(hf("depth_head.scratch.refinenet4.resConfUnit1.conv2.bias") ==
        "neck.fusion_stage.layers.0.residual_layer1.convolution2.bias");
  CHECK(hf("depth_head.scratch.refinenet1.out_conv.weight") ==
        "neck.fusion_stage.layers.3.projection.weight");
  CHECK(hf("depth_head.scratch.layer1_rn.weight") == "neck.convs.0.weight");
  CHECK(hf("depth_head.resize_layers.3.weight") == "neck.reassemble_stage.layers.3.resize.weight");
  CHECK(hf("pretrained.blocks.11.ls2.gamma") == "backbone.encoder.layer.11.layer_scale2.lambda1");
  CHECK(hf("pretrained.blocks.7.mlp.w12.bias") == "backbone.encoder.layer.7.mlp.weights_in.bias");
  CHECK(hf("depth_head.scratch.output_conv2.2.bias") == "head.conv3.bias");
  CHECK_FALSE(official_name("neck.reassemble_stage.readout_projects.0.0.weight"));
  CHECK_FALSE(official_name("backbone.encoder.layer.01.norm1.weight"));
  CHECK_FALSE(official_name("neck.fusion_stage.layers.9.projection.weight"));
  // Tensors S/B 287, L 503: models.md 6.3.
  CHECK(made::hf_tensors_of(made::tensors_of(made::kS)).size() == 287);
  CHECK(made::hf_tensors_of(made::tensors_of(made::kL)).size() == 503);
}

TEST_CASE("names: prefixes are stripped and reported") {
  const auto expected = made::tensors_of({});
  const std::string prefix = GENERATE("", "module.", "model.module.", "state_dict.", "core.core.");
  const Archive archive = made::archive_of(expected, prefix);
  const NameMap names = map_names(archive);
  CHECK(names.style == NameStyle::official);
  CHECK(names.prefix == prefix);
  CHECK(match_state_dict(expected, names, archive).exact());
  CHECK((names.report().find("stripped") != std::string::npos) == !prefix.empty());
}

TEST_CASE("names: of teacher and student the teacher is read, and blocks are unchunked") {
  std::vector<ExpectedTensor> tensors;
  for (const char* who : {"student.", "teacher."})
    for (const ExpectedTensor& tensor : made::tensors_of({.head = false})) {
      std::string name = tensor.name.substr(std::string("pretrained.").size());
      if (name.starts_with("blocks.")) name = "blocks.0." + name.substr(7);
      tensors.push_back({who + ("backbone." + name), tensor.shape});
    }
  tensors.push_back({"teacher.dino_head.mlp.0.weight", {3}});
  const Archive archive = made::archive_of(tensors);
  const NameMap names = map_names(archive);
  CHECK(names.style == NameStyle::backbone);
  CHECK(names.prefix == "teacher.backbone.");
  CHECK(names.chunked);
  CHECK(match_state_dict(made::tensors_of({.head = false}), names, archive).exact());
  CHECK_THAT(names.report(), Catch::Contains("'teacher.backbone.'") &&
                                 Catch::Contains("student: 35") && Catch::Contains("teacher: 1") &&
                                 Catch::Contains("unchunked"));
  CHECK(map_names(archive, "student.backbone.").prefix == "student.backbone.");
  CHECK_THROWS_WITH(map_names(archive, "ema."), Catch::Contains("under the prefix 'ema.'"));
}

TEST_CASE("names: HF query, key and value become the rows of qkv") {
  const made::Folder folder;
  std::vector<OutputTensor> tensors;
  std::vector<std::string> data;
  data.reserve(1000);
  float start = 0;
  for (const ExpectedTensor& tensor : made::hf_tensors_of(made::tensors_of({}))) {
    data.push_back(made::iota_f32(tensor.shape, start));
    start += 1;
    tensors.push_back(
        output_tensor(tensor.name, DType::f32, tensor.shape, made::bytes_of(data.back())));
  }
  write_safetensors(folder.path / "model.safetensors", tensors, {});
  const Archive archive = open_archive(folder.path);
  const NameMap names = map_names(archive);
  CHECK(names.style == NameStyle::hf);
  CHECK(match_state_dict(made::tensors_of({}), names, archive).exact());
  const NameMap::Source& qkv = *names.find("pretrained.blocks.1.attn.qkv.bias");
  REQUIRE(qkv.shape() == Shape{192});
  std::vector<float> rows(192);
  copy_source(qkv, DType::f32, std::as_writable_bytes(std::span(rows)));
  const auto part = [&](const char* which) {
    return float(made::values_of(archive.at(
        std::string("backbone.encoder.layer.1.attention.attention.") + which + ".bias"))[0]);
  };
  CHECK(rows[0] == part("query"));
  CHECK(rows[64] == part("key"));
  CHECK(rows[128] == part("value"));
  CHECK(rows[191] == part("value") + 63);
}

}  // namespace fathom
