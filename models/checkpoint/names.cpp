#include "models/checkpoint/names.h"

#include <algorithm>
#include <array>
#include <map>
#include <sstream>

#include "models/checkpoint/bytes.h"

namespace fathom {

std::string_view name_of(NameStyle style) {
  switch (style) {
    case NameStyle::official: return "official";
    case NameStyle::backbone: return "DINOv2 backbone";
    case NameStyle::hf: return "hf";
    case NameStyle::hf_backbone: return "hf backbone";
    case NameStyle::other: return "other";
  }
  fail("unknown name style ", int(style));
}

namespace {
/// A row of the table of models.md 6.3. '#' stands for a number; the rest of the name after the
/// pattern (".weight", ".bias") is kept. The HF number is `from - number` when reversed.
struct Rule {
  std::string_view official, hf;
  int offset = 0;  // hf number = official number + offset, or offset - number when reversed
  bool reversed = false;
  int part = -1;
};
// HF: src/transformers/models/depth_anything/convert_depth_anything_to_hf.py.
constexpr std::array kRules = std::to_array<Rule>({
    {"pretrained.cls_token", "backbone.embeddings.cls_token"},
    {"pretrained.mask_token", "backbone.embeddings.mask_token"},
    {"pretrained.pos_embed", "backbone.embeddings.position_embeddings"},
    {"pretrained.register_tokens", "backbone.embeddings.register_tokens"},
    {"pretrained.patch_embed.proj", "backbone.embeddings.patch_embeddings.projection"},
    {"pretrained.blocks.#.norm1", "backbone.encoder.layer.#.norm1"},
    {"pretrained.blocks.#.norm2", "backbone.encoder.layer.#.norm2"},
    {"pretrained.blocks.#.attn.qkv", "backbone.encoder.layer.#.attention.attention.query", 0, false,
     0},
    {"pretrained.blocks.#.attn.qkv", "backbone.encoder.layer.#.attention.attention.key", 0, false,
     1},
    {"pretrained.blocks.#.attn.qkv", "backbone.encoder.layer.#.attention.attention.value", 0, false,
     2},
    {"pretrained.blocks.#.attn.proj", "backbone.encoder.layer.#.attention.output.dense"},
    {"pretrained.blocks.#.ls1.gamma", "backbone.encoder.layer.#.layer_scale1.lambda1"},
    {"pretrained.blocks.#.ls2.gamma", "backbone.encoder.layer.#.layer_scale2.lambda1"},
    {"pretrained.blocks.#.mlp.fc1", "backbone.encoder.layer.#.mlp.fc1"},
    {"pretrained.blocks.#.mlp.fc2", "backbone.encoder.layer.#.mlp.fc2"},
    {"pretrained.blocks.#.mlp.w12", "backbone.encoder.layer.#.mlp.weights_in"},
    {"pretrained.blocks.#.mlp.w3", "backbone.encoder.layer.#.mlp.weights_out"},
    {"pretrained.norm", "backbone.layernorm"},
    {"depth_head.projects.#", "neck.reassemble_stage.layers.#.projection"},
    {"depth_head.resize_layers.#", "neck.reassemble_stage.layers.#.resize"},
    // Exact names first: the generic pattern of out_conv would not match them, but order is cheap.
    {"depth_head.scratch.output_conv1", "head.conv1"},
    {"depth_head.scratch.output_conv2.0", "head.conv2"},
    {"depth_head.scratch.output_conv2.2", "head.conv3"},
    {"depth_head.scratch.layer#_rn", "neck.convs.#", -1},
    // refinenet4 is the first fusion layer of HF.
    {"depth_head.scratch.refinenet#.out_conv", "neck.fusion_stage.layers.#.projection", 4, true},
    {"depth_head.scratch.refinenet#.resConfUnit1.conv1",
     "neck.fusion_stage.layers.#.residual_layer1.convolution1", 4, true},
    {"depth_head.scratch.refinenet#.resConfUnit1.conv2",
     "neck.fusion_stage.layers.#.residual_layer1.convolution2", 4, true},
    {"depth_head.scratch.refinenet#.resConfUnit2.conv1",
     "neck.fusion_stage.layers.#.residual_layer2.convolution1", 4, true},
    {"depth_head.scratch.refinenet#.resConfUnit2.conv2",
     "neck.fusion_stage.layers.#.residual_layer2.convolution2", 4, true},
});

struct Matched {
  int64_t number = 0;
  std::string_view rest;
};
}  // namespace

// The number at the start of text; at most six digits, without leading zeros.
static std::optional<int64_t> take_number(std::string_view& text) {
  size_t size = 0;
  int64_t number = 0;
  while (size < text.size() && size < 6 && text[size] >= '0' && text[size] <= '9')
    number = 10 * number + (text[size++] - '0');
  if (size == 0 || (size > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(size);
  return number;
}

static std::optional<Matched> match_pattern(std::string_view pattern, std::string_view name) {
  const size_t hash = pattern.find('#');
  const std::string_view head = pattern.substr(0, hash);
  if (!name.starts_with(head)) return std::nullopt;
  name.remove_prefix(head.size());
  Matched matched;
  if (hash != std::string_view::npos) {
    const auto number = take_number(name);
    const std::string_view tail = pattern.substr(hash + 1);
    if (!number || !name.starts_with(tail)) return std::nullopt;
    name.remove_prefix(tail.size());
    matched.number = *number;
  }
  if (!name.empty() && name != ".weight" && name != ".bias") return std::nullopt;
  matched.rest = name;
  return matched;
}

static std::string fill(std::string_view pattern, int64_t number, std::string_view rest) {
  const size_t hash = pattern.find('#');
  std::string name(pattern.substr(0, hash));
  if (hash != std::string_view::npos) {
    name += std::to_string(number);
    name += pattern.substr(hash + 1);
  }
  return name.append(rest);
}

std::optional<OfficialName> official_name(std::string_view hf) {
  for (const Rule& rule : kRules) {
    const auto matched = match_pattern(rule.hf, hf);
    if (!matched) continue;
    const int64_t number =
        rule.reversed ? rule.offset - matched->number : matched->number - rule.offset;
    if (number < 0) continue;
    return OfficialName{fill(rule.official, number, matched->rest), rule.part};
  }
  return std::nullopt;
}

std::vector<std::string> hf_names(std::string_view official) {
  std::vector<std::string> names;
  for (const Rule& rule : kRules) {
    const auto matched = match_pattern(rule.official, official);
    if (!matched) continue;
    const int64_t number =
        rule.reversed ? rule.offset - matched->number : matched->number + rule.offset;
    if (number >= 0) names.push_back(fill(rule.hf, number, matched->rest));
  }
  return names;
}

bool NameMap::Source::complete() const {
  return std::ranges::none_of(parts, [](const Entry* part) { return part == nullptr; });
}

Shape NameMap::Source::shape() const {
  check(complete(), name, ": one of query, key and value is missing");
  for (const Entry* part : parts)
    check(part->shape == parts[0]->shape && part->dtype == parts[0]->dtype, name,
          ": query, key and value differ in shape or dtype: ", parts[0]->shape, " ",
          parts[0]->dtype, " and ", part->shape, " ", part->dtype);
  Shape shape = parts[0]->shape;
  if (parts.size() == 1) return shape;
  check(shape.rank() >= 1, name, ": query, key and value have no rows to stack");
  shape[0] *= int64_t(parts.size());
  return shape;
}

const NameMap::Source* NameMap::find(std::string_view official) const {
  const auto at = std::ranges::lower_bound(
      sources, official, {}, [](const Source& s) -> std::string_view { return s.name; });
  return at != sources.end() && at->name == official ? &*at : nullptr;
}

std::string NameMap::report() const {
  std::ostringstream out;
  out << "names: " << name_of(style);
  if (!prefix.empty()) out << ", prefix " << shown(prefix) << " stripped";
  if (chunked) out << ", blocks unchunked";
  if (ignored.empty()) return out.str();
  std::map<std::string, int64_t> groups;
  for (const std::string& name : ignored) ++groups[name.substr(0, name.find('.'))];
  out << ", " << ignored.size() << " tensors outside it ignored (";
  int listed = 0;
  for (const auto& [group, count] : groups) {
    if (listed == 5) {
      out << ", ...";
      break;
    }
    out << (listed++ ? ", " : "") << group << ": " << count;
  }
  out << ")";
  return out.str();
}

namespace {
struct Root {
  NameStyle style;
  std::string prefix;
};
}  // namespace

static bool remove_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  const size_t rest = text.size() - suffix.size();
  if (rest > 0 && text[rest - 1] != '.') return false;  // whole components only
  text = text.substr(0, rest);
  return true;
}

// Every encoder has one class token, and its name tells the style and the prefix.
static std::optional<Root> root_of(std::string_view name) {
  if (!remove_suffix(name, "cls_token")) return std::nullopt;
  if (remove_suffix(name, "embeddings."))
    return remove_suffix(name, "backbone.") ? Root{NameStyle::hf, std::string(name)}
                                            : Root{NameStyle::hf_backbone, std::string(name)};
  if (remove_suffix(name, "pretrained.")) return Root{NameStyle::official, std::string(name)};
  return Root{NameStyle::backbone, std::string(name)};
}

// Training files hold several encoders; the averaged one is the one to use.
static int preference(const Root& root) {
  if (root.prefix.empty()) return 0;
  if (root.prefix.find("teacher") != std::string::npos) return 1;
  if (root.prefix.find("ema") != std::string::npos) return 2;
  return root.prefix.find("student") != std::string::npos ? 4 : 3;
}

static std::optional<Root> find_root(const Archive& archive,
                                     const std::optional<std::string>& wanted) {
  std::optional<Root> best;
  for (const Entry& entry : archive.entries) {
    const auto root = root_of(entry.name);
    if (!root || (wanted && root->prefix != *wanted)) continue;
    if (!best || preference(*root) < preference(*best)) best = root;
  }
  return best;
}

// blocks.{chunk}.{i}.rest -> blocks.{i}.rest; i counts through all chunks already.
static bool unchunk(std::string& official) {
  constexpr std::string_view kBlocks = "pretrained.blocks.";
  if (!official.starts_with(kBlocks)) return false;
  std::string_view rest = std::string_view(official).substr(kBlocks.size());
  if (!take_number(rest) || !rest.starts_with('.')) return false;
  rest.remove_prefix(1);
  const std::string_view inner = rest;
  if (!take_number(rest) || !rest.starts_with('.')) return false;
  official = std::string(kBlocks) + std::string(inner);
  return true;
}

static std::optional<OfficialName> translate(NameStyle style, std::string_view local) {
  switch (style) {
    case NameStyle::official:
      if (!local.starts_with("pretrained.") && !local.starts_with("depth_head."))
        return std::nullopt;
      return OfficialName{std::string(local)};
    case NameStyle::backbone: return OfficialName{"pretrained." + std::string(local)};
    case NameStyle::hf: return official_name(local);
    case NameStyle::hf_backbone: return official_name("backbone." + std::string(local));
    case NameStyle::other: return OfficialName{std::string(local)};
  }
  fail("unknown name style ", int(style));
}

NameMap map_names(const Archive& archive, std::optional<std::string> prefix) {
  const std::optional<Root> root = find_root(archive, prefix);
  if (!root && prefix) fail(archive.path, ": no DINOv2 encoder under the prefix ", shown(*prefix));
  NameMap map;
  if (root) {
    map.style = root->style;
    map.prefix = root->prefix;
  }
  struct Item {
    OfficialName name;
    const Entry* entry;
  };
  std::vector<Item> items;
  for (const Entry& entry : archive.entries) {
    if (!entry.name.starts_with(map.prefix)) {
      map.ignored.push_back(entry.name);
      continue;
    }
    const std::string_view local = std::string_view(entry.name).substr(map.prefix.size());
    auto official = translate(map.style, local);
    if (!official) {
      map.extra.push_back(entry.name);
      continue;
    }
    map.chunked = unchunk(official->name) || map.chunked;
    items.push_back({std::move(*official), &entry});
  }
  std::ranges::stable_sort(items, {},
                           [](const Item& item) -> const std::string& { return item.name.name; });
  for (const Item& item : items) {
    if (map.sources.empty() || map.sources.back().name != item.name.name)
      map.sources.push_back(
          {item.name.name, std::vector<const Entry*>(item.name.part < 0 ? 1 : 3, nullptr)});
    const Entry*& slot = map.sources.back().parts[size_t(std::max(item.name.part, 0))];
    check(slot == nullptr, archive.path, ": two tensors map to ", shown(item.name.name));
    slot = item.entry;
  }
  return map;
}

void copy_source(const NameMap::Source& source, DType to, std::span<std::byte> out) {
  const int64_t size = source.shape().numel() * size_of(to);
  check(int64_t(out.size()) == size, "copy_source: ", source.name, " ", source.shape(), " as ", to,
        " is ", size, " bytes, but out has ", out.size());
  const size_t part = out.size() / source.parts.size();
  for (size_t i = 0; i < source.parts.size(); ++i)
    copy_elements(*source.parts[i], to, out.subspan(i * part, part));
}

}  // namespace fathom
