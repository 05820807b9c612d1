#include "models/load.h"

#include "core/allocator.h"
#include "core/autograd.h"
#include "models/checkpoint/safetensors.h"
#include "models/save.h"
#include "tests/models/checkpoint/made_files.h"
#include "tests/models/tiny_model.h"

namespace fathom {

namespace fs = std::filesystem;

// Changes to the tensors of a file on their way to another one.
struct Rewrite {
  std::function<std::string(const std::string&)> rename = [](const std::string& name) {
    return name;  // "" leaves the tensor out
  };
  std::vector<OutputTensor> more = {};
  bool metadata = true;
};

static fs::path rewrite(const fs::path& from, const fs::path& to, const Rewrite& how) {
  const Archive archive = open_archive(from);
  std::vector<OutputTensor> tensors = how.more;
  for (const Entry& entry : archive.entries)
    if (const std::string name = how.rename(entry.name); !name.empty())
      tensors.push_back(output_tensor(name, entry.dtype, entry.shape, entry.bytes));
  std::map<std::string, std::string> none;
  write_safetensors(to, tensors, how.metadata ? archive.metadata : none);
  return to;
}

// A saved tiny model, and room for changed copies.
struct Saved {
  made::Folder folder;
  fs::path path = folder.path / "x.safetensors", changed = folder.path / "y.safetensors";
  explicit Saved(DepthKind kind = DepthKind::relative) {
    save_model(path, tiny_model(kind), 2, {});
  }
};

static const std::vector<float> kZeros(80 * 161);
static OutputTensor zeros(const std::string& name, const Shape& shape) {
  return output_tensor(name, DType::f32, shape,
                       std::as_bytes(std::span(kZeros.data(), size_t(shape.numel()))));
}

// Everything but one tensor, under a changed name or none.
static auto renaming(const std::string& one, const std::string& to) {
  return [=](const std::string& name) { return name == one ? to : name; };
}

static std::string encoder_only(const std::string& name) {
  const std::string prefix = "pretrained.";
  return name.starts_with(prefix) ? name.substr(prefix.size()) : "";
}

TEST_CASE("load_model: lists missing, extra and mis-shaped tensors") {
  const Saved saved;
  const std::string norm = "pretrained.blocks.2.norm1.bias";
  rewrite(saved.path, saved.changed, {.rename = renaming(norm, "")});
  CHECK_THROWS_WITH(load_model(saved.changed),
                    Catch::Contains("y.safetensors") && Catch::Contains("1 missing: " + norm));

  rewrite(saved.path, saved.changed, {.more = {zeros("depth_head.projects.4.bias", {16})}});
  CHECK_THROWS_WITH(load_model(saved.changed),
                    Catch::Contains("1 extra: depth_head.projects.4.bias"));

  rewrite(saved.path, saved.changed, {.rename = renaming(norm, ""), .more = {zeros(norm, {63})}});
  CHECK_THROWS_WITH(load_model(saved.changed), Catch::Contains("1 of another shape: " + norm) &&
                                                   Catch::Contains("expected [64], found [63]"));

  // All at once, in one message.
  rewrite(saved.path, saved.changed,
          {.rename =
               [&](const std::string& name) {
                 return name == norm ? "" : name == "pretrained.norm.bias" ? name + "es" : name;
               },
           .more = {zeros(norm, {63})}});
  CHECK_THROWS_WITH(load_model(saved.changed),
                    Catch::Contains("1 missing: pretrained.norm.bias") &&
                        Catch::Contains("1 extra: pretrained.norm.biases") &&
                        Catch::Contains("1 of another shape: " + norm));
}

TEST_CASE("load_model: mask_token, which only pre-training reads, may be absent") {
  const Saved saved;
  rewrite(saved.path, saved.changed, {.rename = renaming("pretrained.mask_token", "")});
  const LoadedModel loaded = load_model(saved.changed);
  CHECK_FALSE(loaded.model.pretrained.mask_token.defined());
  CHECK(load_model(saved.path).model.pretrained.mask_token.defined());
  // Saving leaves out what is not there.
  save_model(saved.path, loaded.model, 2, {});
  CHECK(open_archive(saved.path).find("pretrained.mask_token") == nullptr);
}

TEST_CASE("load_encoder: reads an encoder alone, or that of a whole model") {
  const Saved saved;
  rewrite(saved.path, saved.changed, {.rename = encoder_only, .metadata = false});
  CHECK_THROWS_WITH(load_model(saved.changed),
                    Catch::Contains("a DINOv2 encoder without a depth head"));
  const DepthAnything model = tiny_model();
  for (const fs::path& path : {saved.changed, saved.path}) {
    const Dinov2 encoder = load_encoder(path);
    CHECK((encoder.config == model.config.encoder));
    std::vector<Tensor> expected;
    for_each_parameter(model.pretrained, [&](const std::string&, const Tensor& t, AxisOrder) {
      expected.push_back(t);
    });
    size_t at = 0;
    for_each_parameter(encoder, [&](const std::string& name, const Tensor& t, AxisOrder) {
      CAPTURE(path.string(), name);
      REQUIRE(at < expected.size());
      CHECK(same_bits(t, expected[at++]));
    });
    CHECK(at == expected.size());
  }
  rewrite(saved.path, saved.changed, {.rename = [](const std::string& name) {
            return name == "pretrained.norm.bias" ? "" : encoder_only(name);
          }});
  CHECK_THROWS_WITH(load_encoder(saved.changed),
                    Catch::Contains("1 missing: pretrained.norm.bias"));
}

TEST_CASE("load_model: a V1 metric file with a ZoeDepth head is refused in words") {
  const Saved saved;
  rewrite(saved.path, saved.changed,
          {.rename = [](const std::string& name) { return "core.core." + name; },
           .more = {zeros("conditional_log_binomial.mlp.0.weight", {80, 161, 1, 1})},
           .metadata = false});
  CHECK_THROWS_WITH(load_model(saved.changed),
                    Catch::Contains("y.safetensors") && Catch::Contains("ZoeDepth head"));
}

TEST_CASE("load_model: a file that does not say its version asks for the flags and takes them") {
  const Saved saved;
  rewrite(saved.path, saved.changed, {.metadata = false});
  CHECK_THROWS_WITH(load_model(saved.changed), Catch::Contains("--model-version v1|v2") &&
                                                   Catch::Contains("--kind relative|metric"));
  CHECK_THROWS_WITH(
      load_model(saved.changed, {.version = ModelVersion::v2}),
      Catch::Contains("--kind relative|metric") && !Catch::Contains("--model-version"));
  CHECK_THROWS_WITH(
      load_model(saved.changed, {.version = ModelVersion::v2, .kind = DepthKind::metric}),
      Catch::Contains("--max-depth METRES"));

  const LoadedModel metric = load_model(
      saved.changed, {.version = ModelVersion::v2, .kind = DepthKind::metric, .max_depth_m = 80.0});
  CHECK(metric.model.config.kind == DepthKind::metric);
  CHECK(metric.model.config.max_depth_m == 80);
  CHECK(metric.title == "Depth Anything V2 custom metric, up to 80 m");
  const LoadedModel relative =
      load_model(saved.changed, {.version = ModelVersion::v1, .kind = DepthKind::relative});
  CHECK(relative.version == 1);
  CHECK(relative.title == "Depth Anything V1 custom");
  CHECK(relative.description.version_source == "flag");
}

TEST_CASE("load_model: V2-S takes its weights in memory and little more") {
  constexpr int64_t kWeightBytes = 99'140'356;  // 24,785,089 parameters of 4 bytes
  const made::Folder folder;
  const NameStyle names = GENERATE(NameStyle::official, NameStyle::hf);
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  CAPTURE(name_of(names), dtype);
  const fs::path path = folder.path / "x.safetensors";
  {
    DepthAnything model(depth_anything_config(2, ModelSize::S));
    fill_with_hash(model, 4);
    save_model(path, model, 2, {.names = names, .dtype = dtype});
  }
  const int64_t before = allocator::statistics().current_bytes;
  allocator::reset_peak();
  const LoadedModel loaded = load_model(path);
  CHECK(allocator::statistics().current_bytes - before == kWeightBytes);
  const int64_t peak = allocator::statistics().peak_bytes - before;
  CHECK(peak >= kWeightBytes);
  CHECK(double(peak) <= 1.2 * double(kWeightBytes));
  CHECK(loaded.title == "Depth Anything V2 S");
  CHECK(loaded.description.parameters * 4 == kWeightBytes);
}

// The expected values are those of the reference implementation, xxhsum -H128.
TEST_CASE("hash_of: is the XXH3 128 of the file") {
  CHECK(hash_of(open_archive(FATHOM_TEST_DATA "/weights/simple_legacy.pt")) ==
        "2cfbd6f890f2caa66d1002fe12a3c3f2");

  // One of more than one piece, and not a multiple of it.
  const size_t size = (5 << 20) + 8;
  std::string data(size, '\0');
  for (size_t i = 0; i < size; ++i) data[i] = char(i * 7 % 251);
  const std::string header = R"({"x":{"dtype":"U8","shape":[)" + std::to_string(size) +
                             R"(],"data_offsets":[0,)" + std::to_string(size) + "]}}";
  const made::Folder folder;
  CHECK(hash_of(open_archive(folder.write("x.safetensors", made::safetensors(header, data)))) ==
        "7ed71c53cc784a4339ca9e88575c2b64");
}

TEST_CASE("load_model: the hash is that of the file") {
  const Saved saved;
  const std::string hash = load_model(saved.path).weights_hash;
  CHECK(hash == hash_of(open_archive(saved.path)));
  CHECK(hash.size() == 32);
}

}  // namespace fathom
