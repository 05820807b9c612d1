#include "models/save.h"

#include <fstream>
#include <iterator>

#include "models/load.h"
#include "tests/models/checkpoint/made_files.h"
#include "tests/models/tiny_model.h"

namespace fathom {

namespace fs = std::filesystem;

static std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What reading gives after the values went through the dtype of the file: one rounding.
static void check_parameters(const DepthAnything& loaded, const DepthAnything& saved, DType dtype) {
  std::vector<std::pair<std::string, Tensor>> expected;
  for_each_parameter(saved, [&](const std::string& name, const Tensor& t, AxisOrder) {
    expected.push_back({name, t.to(dtype).to(DType::f32)});
  });
  size_t at = 0;
  for_each_parameter(loaded, [&](const std::string& name, const Tensor& t, AxisOrder) {
    REQUIRE(at < expected.size());
    CAPTURE(name);
    CHECK(name == expected[at].first);
    CHECK(same_bits(t, expected[at].second));
    ++at;
  });
  CHECK(at == expected.size());
}

TEST_CASE("save_model: load_model gives the same model back") {
  const made::Folder folder;
  const NameStyle names = GENERATE(NameStyle::official, NameStyle::hf);
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  const DepthKind kind = GENERATE(DepthKind::relative, DepthKind::metric);
  const int version = GENERATE(1, 2);
  CAPTURE(name_of(names), dtype, name_of(kind), version);
  const DepthAnything model = tiny_model(kind);
  const fs::path path = folder.path / "x.safetensors";
  save_model(path, model, version, {.names = names, .dtype = dtype});

  const LoadedModel loaded = load_model(path);
  CHECK(loaded.version == version);
  CHECK((loaded.model.config == model.config));  // taps, kind and maximal depth among it
  CHECK(loaded.description.version_source == "metadata");
  CHECK(loaded.description.kind_source == "metadata");
  check_parameters(loaded.model, model, dtype);
  for (const Entry& entry : open_archive(path).entries) REQUIRE(entry.dtype == dtype);
}

TEST_CASE("save_model: metadata says what tensors cannot") {
  const made::Folder folder;
  const fs::path path = folder.path / "x.safetensors";
  save_model(path, tiny_model(DepthKind::metric), 2, {.metadata = {{"step", "1200"}}});
  std::map<std::string, std::string> metadata = open_archive(path).metadata;
  CHECK(metadata["format"] == "pt");
  CHECK(metadata["fathom.version"] == "v2");
  CHECK(metadata["fathom.kind"] == "metric");
  CHECK(metadata["fathom.max_depth"] == "20");
  CHECK(metadata["fathom.taps"] == "0,1,2,3");
  CHECK(metadata["step"] == "1200");
  CHECK(metadata["fathom.writer"].starts_with("fathom "));

  save_model(path, tiny_model(DepthKind::relative), 1, {});
  metadata = open_archive(path).metadata;
  CHECK(metadata["fathom.version"] == "v1");
  CHECK(metadata["fathom.kind"] == "relative");
  CHECK_FALSE(metadata.contains("fathom.max_depth"));
}

TEST_CASE("save_model: files have the published order of axes") {
  const made::Folder folder;
  const fs::path path = folder.path / "x.safetensors";
  const DepthAnything model = tiny_model();
  save_model(path, model, 2, {});
  const Archive archive = open_archive(path);

  const Entry& conv = archive.at("pretrained.patch_embed.proj.weight");
  REQUIRE(conv.shape == Shape{64, 3, 14, 14});
  const std::vector<double> published = made::values_of(conv);
  const std::vector<double> memory = values(model.pretrained.patch_embed.proj.weight);
  for (size_t o = 0; o < 64; ++o)
    for (size_t i = 0; i < 3; ++i)
      for (size_t y = 0; y < 14; ++y)
        for (size_t x = 0; x < 14; ++x)
          REQUIRE(published[((o * 3 + i) * 14 + y) * 14 + x] ==
                  memory[((o * 14 + y) * 14 + x) * 3 + i]);

  // Transposed convolutions are published as [in, out, kh, kw] and kept as [kh, kw, out, in].
  const Entry& transposed = archive.at("depth_head.resize_layers.0.weight");
  REQUIRE(transposed.shape == Shape{16, 16, 4, 4});
  const std::vector<double> file = made::values_of(transposed);
  const std::vector<double> kept = values(model.depth_head.resize_layers.up4.weight);
  for (size_t i = 0; i < 16; ++i)
    for (size_t o = 0; o < 16; ++o)
      for (size_t y = 0; y < 4; ++y)
        for (size_t x = 0; x < 4; ++x)
          REQUIRE(file[((i * 16 + o) * 4 + y) * 4 + x] == kept[((y * 4 + x) * 16 + o) * 16 + i]);
}

TEST_CASE("save_model: Hugging Face files have query, key and value apart") {
  const made::Folder folder;
  const fs::path path = folder.path / "x.safetensors";
  const DepthAnything model = tiny_model();
  save_model(path, model, 2, {.names = NameStyle::hf});
  const Archive archive = open_archive(path);
  const std::vector<double> stacked = values(model.pretrained.blocks[3].attn.qkv.weight);
  const std::string attention = "backbone.encoder.layer.3.attention.attention.";
  const std::string parts[] = {"query", "key", "value"};
  for (size_t part = 0; part < 3; ++part) {
    const Entry& entry = archive.at(attention + parts[part] + ".weight");
    REQUIRE(entry.shape == Shape{64, 64});
    const std::vector<double> rows = made::values_of(entry);
    CHECK(std::equal(rows.begin(), rows.end(), stacked.begin() + int64_t(part * 64 * 64)));
  }
}

TEST_CASE("save_model: official to Hugging Face and back gives the same file") {
  const made::Folder folder;
  const fs::path first = folder.path / "first.safetensors", hf = folder.path / "hf.safetensors",
                 last = folder.path / "last.safetensors";
  save_model(first, tiny_model(), 2, {});
  const LoadedModel one = load_model(first);
  save_model(hf, one.model, one.version, {.names = NameStyle::hf});
  const LoadedModel two = load_model(hf);
  save_model(last, two.model, two.version, {});
  CHECK(content(first) != content(hf));
  CHECK((content(first) == content(last)));
}

TEST_CASE("save_model: refuses what cannot be written, and leaves nothing behind") {
  const made::Folder folder;
  const DepthAnything model = tiny_model();
  const fs::path path = folder.path / "x.safetensors";
  CHECK_THROWS_WITH(save_model(path, model, 2, {.dtype = DType::f64}),
                    Catch::Contains("dtype must be f32, f16 or bf16, not f64"));
  CHECK_THROWS_WITH(save_model(path, model, 2, {.names = NameStyle::backbone}),
                    Catch::Contains("names must be official or hf"));
  CHECK_THROWS_WITH(save_model(folder.path / "absent" / "x.safetensors", model, 2, {}),
                    Catch::Contains("cannot write"));
  CHECK(fs::is_empty(folder.path));
}

}  // namespace fathom
