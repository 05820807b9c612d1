#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/model_flags.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string file;
  bool json = false, tensors = false;
  ModelArguments model;
};

// What the file holds, and the model in it or the reason why there is none.
struct Facts {
  Archive archive;
  NameMap names;
  std::optional<ModelDescription> model;
  std::string why_not;
};

Facts gather(const Arguments& arguments) {
  Facts facts{open_archive(arguments.file), {}, {}, {}};
  try {
    facts.names = map_names(facts.archive);
    facts.model =
        describe_model(facts.archive, facts.names, arguments.file, arguments.model.flags());
  } catch (const Error& error) {
    facts.why_not = error.what();
  }
  return facts;
}

std::string text_of(const Shape& shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

std::string millions(int64_t count) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f M", double(count) / 1e6);
  return text;
}

int64_t total_bytes(const Archive& archive) {
  int64_t bytes = 0;
  for (const Entry& entry : archive.entries) bytes += entry.size_bytes();
  return bytes;
}

Json json_of(const Facts& facts) {
  const Archive& archive = facts.archive;
  Json json{{"file", archive.path},
            {"format", archive.format},
            {"xxh3_128", hash_of(archive)},
            {"names", name_of(facts.names.style)},
            {"tensor_bytes", total_bytes(archive)},
            {"metadata", archive.metadata}};
  if (facts.model) {
    const ModelDescription& m = *facts.model;
    json["model"] = {{"title", title_of(m)},
                     {"size", m.size},
                     {"version", name_of(m.version)},
                     {"version_from", m.version_source},
                     {"kind", name_of(m.kind)},
                     {"kind_from", m.kind_source},
                     {"max_depth_m", m.max_depth_m},
                     {"max_depth_from", m.max_depth_source},
                     {"parameters", m.parameters},
                     {"channels", m.channels},
                     {"layers", m.layers},
                     {"heads", m.heads},
                     {"hidden", m.hidden},
                     {"swiglu", m.swiglu},
                     {"registers", m.registers},
                     {"has_head", m.has_head},
                     {"features", m.features},
                     {"out_channels", m.out_channels}};
  } else {
    json["no_model"] = facts.why_not;
  }
  for (const Entry& entry : archive.entries)
    json["tensors"].push_back(
        {{"name", entry.name},
         {"dtype", name_of(entry.dtype)},
         {"shape", std::vector<int64_t>(entry.shape.begin(), entry.shape.end())}});
  for (const Skipped& skipped : archive.skipped)
    json["skipped"].push_back({{"name", skipped.name}, {"reason", skipped.reason}});
  return json;
}

void row(const char* key, const std::string& value) {
  std::printf("%-12s %s\n", key, value.c_str());
}

std::string from(const std::string& source) {
  return source.empty() ? "" : "  (from " + source + ")";
}

void print_model(const ModelDescription& m) {
  row("model",
      m.has_head ? title_of(m) : "DINOv2 " + m.size + (m.registers ? " with registers" : ""));
  row("parameters", millions(m.parameters) + " in " + std::to_string(m.tensors) + " tensors");
  row("encoder", std::to_string(m.channels) + " channels, " + std::to_string(m.layers) +
                     " blocks, " + std::to_string(m.heads) + " heads, " +
                     (m.swiglu ? "SwiGLU " : "MLP ") + std::to_string(m.hidden) + ", " +
                     std::to_string(m.registers) + " registers");
  if (!m.has_head) return;
  std::string widths;
  for (const int64_t c : m.out_channels) widths += " " + std::to_string(c);
  row("decoder", std::to_string(m.features) + " features, levels" + widths);
  row("version", std::string(name_of(m.version)) + from(m.version_source));
  row("kind", std::string(name_of(m.kind)) + from(m.kind_source));
  if (m.kind == DepthKind::metric) {
    char depth[32];
    std::snprintf(depth, sizeof depth, "%g m", m.max_depth_m);
    row("max depth", depth + from(m.max_depth_source));
  }
}

void print(const Facts& facts, bool tensors) {
  const Archive& archive = facts.archive;
  row("file", archive.path);
  row("format", archive.format + ", " + std::to_string(archive.entries.size()) + " tensors, " +
                    millions(total_bytes(archive)) + "B");
  row("xxh3_128", hash_of(archive));
  if (facts.model) {
    row("names", facts.names.report());
    print_model(*facts.model);
  } else {
    row("model", "none: " + facts.why_not);
  }
  for (const auto& [key, value] : archive.metadata)
    row("metadata", key + " = " + (value.size() > 100 ? value.substr(0, 100) + "..." : value));
  for (const Skipped& skipped : archive.skipped)
    row("skipped", skipped.name + ": " + skipped.reason);
  // A foreign file is shown by its tensors; those of a known model only on request.
  if (facts.model && !tensors) return;
  size_t width = 0;
  for (const Entry& entry : archive.entries) width = std::max(width, entry.name.size());
  for (const Entry& entry : archive.entries)
    std::printf("%-*s  %-4s  %s\n", int(std::min<size_t>(width, 72)), entry.name.c_str(),
                std::string(name_of(entry.dtype)).c_str(), text_of(entry.shape).c_str());
}

int info(const Arguments& arguments) {
  const Facts facts = gather(arguments);
  if (arguments.json)
    std::cout << json_of(facts).dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  else
    print(facts, arguments.tensors);
  return 0;
}

}  // namespace

void add_info(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("info", "Show what a checkpoint file holds");
  const auto a = std::make_shared<Arguments>();
  command
      ->add_option("file", a->file, "Checkpoint: .pth, .safetensors, a sharded index, or a folder")
      ->required();
  command->add_flag("--tensors", a->tensors, "List every tensor");
  command->add_flag("--json", a->json, "Print JSON, tensors included");
  add_model_flags(*command, a->model);
  command->callback([a, &action] { action = [a] { return info(*a); }; });
}

}  // namespace fathom::cli
