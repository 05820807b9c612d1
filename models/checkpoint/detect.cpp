#include "models/checkpoint/detect.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "models/checkpoint/bytes.h"

namespace fathom {

std::string_view name_of(ModelVersion version) {
  switch (version) {
    case ModelVersion::unknown: return "unknown";
    case ModelVersion::v1: return "v1";
    case ModelVersion::v2: return "v2";
  }
  fail("unknown model version ", int(version));
}

std::string_view name_of(DepthKind kind) {
  switch (kind) {
    case DepthKind::unknown: return "unknown";
    case DepthKind::relative: return "relative";
    case DepthKind::metric: return "metric";
  }
  fail("unknown depth kind ", int(kind));
}

constexpr int64_t kHeadDim = 64;  // of every DINOv2 model

namespace {
/// The tensors of one model, asked for by official name; says what is wrong with the file.
class Tensors {
 public:
  Tensors(const Archive& archive, const NameMap& names) : archive_(archive), names_(names) {}

  bool has(std::string_view name) const { return names_.find(name) != nullptr; }
  Shape shape(std::string_view name, int rank) const {
    const NameMap::Source* const source = names_.find(name);
    check(source != nullptr, archive_.path, ": no tensor ", shown(name),
          ", so the model cannot be described; is the checkpoint complete?");
    const Shape shape = source->shape();
    check(shape.rank() == rank, archive_.path, ": tensor ", shown(name), " has shape ", shape,
          ", expected ", rank, " axes");
    return shape;
  }
  // The number of consecutive blocks.
  int64_t blocks() const {
    int64_t count = 0;
    while (has("pretrained.blocks." + std::to_string(count) + ".norm1.weight")) ++count;
    return count;
  }
  const std::string& path() const { return archive_.path; }

 private:
  const Archive& archive_;
  const NameMap& names_;
};
}  // namespace

static void describe_encoder(const Tensors& tensors, ModelDescription& model) {
  model.channels = tensors.shape("pretrained.cls_token", 3)[2];
  check(model.channels % kHeadDim == 0, tensors.path(), ": ", model.channels,
        " channels; DINOv2 heads are ", kHeadDim, " wide, so it must be a multiple of that");
  model.heads = model.channels / kHeadDim;
  model.layers = tensors.blocks();
  check(model.layers > 0, tensors.path(), ": the encoder has no blocks");
  model.swiglu = tensors.has("pretrained.blocks.0.mlp.w12.weight");
  model.hidden = model.swiglu ? tensors.shape("pretrained.blocks.0.mlp.w3.weight", 2)[1]
                              : tensors.shape("pretrained.blocks.0.mlp.fc1.weight", 2)[0];
  model.patch = tensors.shape("pretrained.patch_embed.proj.weight", 4)[3];
  model.positions = tensors.shape("pretrained.pos_embed", 3)[1] - 1;
  model.has_mask_token = tensors.has("pretrained.mask_token");
  if (tensors.has("pretrained.register_tokens"))
    model.registers = tensors.shape("pretrained.register_tokens", 3)[1];
}

static void describe_head(const Tensors& tensors, ModelDescription& model) {
  model.has_head = tensors.has("depth_head.projects.0.weight");
  if (!model.has_head) return;
  // out_channels come from projects, not from layer_rn, whose first axis is F.
  for (size_t i = 0; i < 4; ++i)
    model.out_channels[i] =
        tensors.shape("depth_head.projects." + std::to_string(i) + ".weight", 4)[0];
  model.features = tensors.shape("depth_head.scratch.layer1_rn.weight", 4)[0];
  model.head_hidden = tensors.shape("depth_head.scratch.output_conv2.0.weight", 4)[0];
}

static std::string size_name(const ModelDescription& model) {
  struct Published {
    const char* name;
    int64_t channels, layers, hidden, features;
    std::array<int64_t, 4> out_channels;
  };
  static constexpr Published kPublished[] = {
      {"S", 384, 12, 1536, 64, {48, 96, 192, 384}},
      {"B", 768, 12, 3072, 128, {96, 192, 384, 768}},
      {"L", 1024, 24, 4096, 256, {256, 512, 1024, 1024}},
      {"g", 1536, 40, 4096, 384, {1536, 1536, 1536, 1536}},
  };
  for (const Published& size : kPublished)
    if (model.channels == size.channels && model.layers == size.layers &&
        model.hidden == size.hidden && model.swiglu == (size.name[0] == 'g') &&
        (!model.has_head ||
         (model.features == size.features && model.out_channels == size.out_channels)))
      return size.name;
  return "custom";
}

// A word among the others, in lower case with '_' between them.
static std::string normalised(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const char lower = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    const bool word = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    if (word)
      out += lower;
    else if (!out.empty() && out.back() != '_')
      out += '_';
  }
  while (out.ends_with('_')) out.pop_back();
  return out;
}

static bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  if (text.size() > word.size() && text[word.size()] != '_') return false;
  text.remove_prefix(std::min(text.size(), word.size() + 1));
  return true;
}

static bool take_any(std::string_view& text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return take(text, word); });
}

// What may follow a published name without changing what the file holds.
static bool only_remarks(std::string_view text) {
  while (!text.empty()) {
    if (take_any(text, {"hf", "fp16", "f16", "half", "bf16", "fp32", "f32", "official", "copy"}))
      continue;
    // "(1)" of a second download.
    const size_t digits = text.find_first_not_of("0123456789");
    if (digits == 0) return false;
    text.remove_prefix(digits == std::string_view::npos ? text.size() : digits);
    if (text.starts_with('_')) text.remove_prefix(1);
  }
  return true;
}

static NameHint hint_from_name(std::string_view name) {
  const std::string words = normalised(name);
  std::string_view rest = words;
  // A folder of the Hugging Face cache: models--owner--name.
  if (const size_t at = rest.rfind("depth_anything"); at != std::string_view::npos)
    if (rest.starts_with("models_")) rest.remove_prefix(at);
  NameHint hint;
  if (!take(rest, "depth") || !take(rest, "anything")) return hint;
  if (take(rest, "metric") && take(rest, "depth")) {
    // depth_anything_metric_depth_indoor.pt: V1-L with a ZoeDepth head.
    hint = {ModelVersion::v1, DepthKind::metric, 0};
    if (take(rest, "indoor")) hint.max_depth_m = 10;
    if (take(rest, "outdoor")) hint.max_depth_m = 80;
    return hint;
  }
  if (!take(rest, "v2")) {
    if (take_any(rest, {"vits14", "vitb14", "vitl14", "small", "base", "large"}))
      hint = {ModelVersion::v1, only_remarks(rest) ? DepthKind::relative : DepthKind::unknown, 0};
    return hint;
  }
  hint.version = ModelVersion::v2;
  const bool metric = take(rest, "metric");
  if (metric) {
    hint.kind = DepthKind::metric;
    if (take_any(rest, {"hypersim", "indoor"})) hint.max_depth_m = 20;
    if (take_any(rest, {"vkitti", "outdoor"})) hint.max_depth_m = 80;
  } else if (take_any(rest, {"vits", "vitb", "vitl", "vitg", "small", "base", "large", "giant"}) &&
             only_remarks(rest)) {
    hint.kind = DepthKind::relative;
  }
  return hint;
}

NameHint hint_from_path(const std::filesystem::path& path) {
  // From the file upwards: a folder names the model when the file is just model.safetensors. The
  // Hugging Face cache puts two more folders between.
  std::filesystem::path at = path.lexically_normal();
  if (!at.has_filename()) at = at.parent_path();
  for (int level = 0; level < 4 && at.has_filename(); ++level, at = at.parent_path()) {
    std::string name = at.filename().string();
    if (level == 0)
      for (const char* suffix : {".pth", ".pt", ".bin", ".safetensors", ".index.json"})
        if (name.ends_with(suffix)) name.resize(name.size() - std::string_view(suffix).size());
    const NameHint hint = hint_from_name(name);
    if (hint.version != ModelVersion::unknown) return hint;
    const bool generic = name.starts_with("model") || name.starts_with("pytorch_model");
    if (level == 0 && !generic && !std::filesystem::is_directory(path)) break;
  }
  return {};
}

static const std::string* field(const Archive& archive, const std::string& key) {
  const auto at = archive.metadata.find(key);
  return at == archive.metadata.end() ? nullptr : &at->second;
}

static double parse_depth(const std::string& text, const std::string& path, const char* key) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(
      error == std::errc() && end == text.data() + text.size() && std::isfinite(value) && value > 0,
      path, ": metadata ", key, " is ", shown(text), ", expected metres above 0");
  return value;
}

namespace {
/// What one place says. The first place that knows a fact decides it.
struct Claim {
  const char* source;
  ModelVersion version = ModelVersion::unknown;
  DepthKind kind = DepthKind::unknown;
  double max_depth_m = 0;
};
}  // namespace

static Claim claim_of_flags(const ModelFlags& flags) {
  Claim claim{"flag", flags.version.value_or(ModelVersion::unknown),
              flags.kind.value_or(DepthKind::unknown), flags.max_depth_m.value_or(0)};
  check(!flags.max_depth_m || (std::isfinite(*flags.max_depth_m) && *flags.max_depth_m > 0),
        "--max-depth must be above 0 metres, got ", flags.max_depth_m.value_or(0));
  return claim;
}

static Claim claim_of_metadata(const Archive& archive) {
  Claim claim{"metadata"};
  if (const std::string* version = field(archive, "fathom.version")) {
    check(*version == "v1" || *version == "v2", archive.path, ": metadata fathom.version is ",
          shown(*version), ", expected v1 or v2");
    claim.version = *version == "v1" ? ModelVersion::v1 : ModelVersion::v2;
  }
  if (const std::string* kind = field(archive, "fathom.kind")) {
    check(*kind == "relative" || *kind == "metric", archive.path, ": metadata fathom.kind is ",
          shown(*kind), ", expected relative or metric");
    claim.kind = *kind == "relative" ? DepthKind::relative : DepthKind::metric;
  }
  if (const std::string* depth = field(archive, "fathom.max_depth"))
    claim.max_depth_m = parse_depth(*depth, archive.path, "fathom.max_depth");
  return claim;
}

// Ascending numbers of blocks: our own metadata, "2,5,8,11", or HF's "3,6,9,12", which counts the
// embedding as 0.
static std::vector<int64_t> taps_of(const Archive& archive) {
  std::vector<int64_t> taps;
  const std::string* text = field(archive, "fathom.taps");
  const int64_t first = text == nullptr ? 1 : 0;
  const char* const where =
      text == nullptr ? "config.json: backbone_config.out_indices" : "metadata fathom.taps";
  if (text == nullptr) text = field(archive, "config.backbone_config.out_indices");
  if (text == nullptr) return taps;
  const char *at = text->data(), *const end = at + text->size();
  while (at < end) {
    int64_t index = 0;
    const auto [next, error] = std::from_chars(at, end, index);
    check(
        error == std::errc() && index >= first && (next == end || *next == ',') && taps.size() < 16,
        archive.path, ": ", where, " is ", shown(*text), ", expected numbers from ", first, " up");
    taps.push_back(index - first);
    at = next == end ? end : next + 1;
  }
  return taps;
}

static Claim claim_of_config(const Archive& archive, const ModelDescription& model) {
  Claim claim{"config.json"};
  const std::string* const type = field(archive, "config.model_type");
  if (type == nullptr || *type != "depth_anything") return claim;
  // The last four blocks are V1; V2 spaces its taps.
  const std::vector<int64_t>& taps = model.taps;
  if (taps.size() == 4)
    claim.version = taps[0] == taps[3] - 3 ? ModelVersion::v1 : ModelVersion::v2;
  const std::string* const kind = field(archive, "config.depth_estimation_type");
  check(kind == nullptr || *kind == "relative" || *kind == "metric" || *kind == "null",
        archive.path, ": config.json: depth_estimation_type is ", kind ? shown(*kind) : "",
        ", expected relative or metric");
  // Its default is relative.
  claim.kind = kind != nullptr && *kind == "metric" ? DepthKind::metric : DepthKind::relative;
  const std::string* const depth = field(archive, "config.max_depth");
  if (claim.kind == DepthKind::metric && depth != nullptr && *depth != "null")
    claim.max_depth_m = parse_depth(*depth, archive.path, "config.json max_depth");
  return claim;
}

ModelDescription describe_model(const Archive& archive, const NameMap& names,
                                const std::filesystem::path& path, const ModelFlags& flags) {
  check(names.style != NameStyle::other, archive.path,
        ": no DINOv2 encoder (no cls_token) among its ", archive.entries.size(), " tensors",
        archive.entries.empty() ? "" : "; the first is " + shown(archive.entries[0].name),
        ". Expected a Depth Anything or DINOv2 checkpoint");
  ModelDescription model;
  const Tensors tensors(archive, names);
  describe_encoder(tensors, model);
  describe_head(tensors, model);
  model.size = size_name(model);
  model.tensors = int64_t(names.sources.size());
  for (const NameMap::Source& source : names.sources)
    if (source.complete()) model.parameters += source.shape().numel();
  model.taps = taps_of(archive);

  Claim of_tensors{"tensor names"};
  for (const std::vector<std::string>* list : {&names.ignored, &names.extra})
    for (const std::string& name : *list)
      model.zoe_head =
          model.zoe_head || name.find("conditional_log_binomial.") != std::string::npos;
  if (model.zoe_head) of_tensors = {"tensor names", ModelVersion::v1, DepthKind::metric, 0};
  const NameHint hint = hint_from_path(path);
  for (const Claim& claim : {claim_of_flags(flags), of_tensors, claim_of_metadata(archive),
                             claim_of_config(archive, model),
                             Claim{"file name", hint.version, hint.kind, hint.max_depth_m}}) {
    if (model.version == ModelVersion::unknown && claim.version != ModelVersion::unknown) {
      model.version = claim.version;
      model.version_source = claim.source;
    }
    if (model.kind == DepthKind::unknown && claim.kind != DepthKind::unknown) {
      model.kind = claim.kind;
      model.kind_source = claim.source;
    }
    if (model.max_depth_m == 0 && claim.max_depth_m != 0) {
      model.max_depth_m = claim.max_depth_m;
      model.max_depth_source = claim.source;
    }
  }
  if (model.kind == DepthKind::relative) {
    check(model.max_depth_source != "flag", archive.path,
          ": --max-depth is for metric models, and this one is relative (from: ", model.kind_source,
          "); add --kind metric if it is not");
    model.max_depth_m = 0;
    model.max_depth_source.clear();
  }
  return model;
}

void check_known(const ModelDescription& model, const Archive& archive) {
  if (!model.has_head) return;
  std::string flags;
  if (model.version == ModelVersion::unknown) flags += " --model-version v1|v2";
  if (model.kind == DepthKind::unknown) flags += " --kind relative|metric";
  if (model.kind == DepthKind::metric && model.max_depth_m == 0 && !model.zoe_head)
    flags += " --max-depth METRES";
  if (model.kind == DepthKind::unknown) flags += " (and --max-depth METRES if metric)";
  check(flags.empty(), archive.path,
        ": the tensors of Depth Anything V1, V2 and V2 metric look alike, and neither the metadata "
        "nor the file name says which these are; add",
        flags);
}

}  // namespace fathom
