#include <iostream>

#include "cli/command.h"
#include "cli/model_flags.h"
#include "cli/signals.h"
#include "core/file.h"
#include "models/save.h"

namespace fathom::cli {
namespace {

struct Arguments {
  std::string in, out, names = "official", dtype = "f32";
  ModelArguments model;
};

int convert(const Arguments& arguments) {
  const DType dtype = dtype_argument(arguments.dtype);
  check(std::filesystem::path(arguments.out).extension() == ".safetensors", arguments.out,
        ": only .safetensors can be written; choose a name that ends so");
  exit_on_signal();
  // Fails before any work when the file could not be written; never committed.
  std::make_unique<AtomicFile>(arguments.out).reset();
  const LoadedModel loaded = load_model(arguments.in, arguments.model.flags());
  save_model(arguments.out, loaded.model, loaded.version,
             {.names = arguments.names == "hf" ? NameStyle::hf : NameStyle::official,
              .dtype = dtype,
              .metadata = {{"fathom.source_xxh3_128", loaded.weights_hash}}});
  std::cout << arguments.out << ": " << loaded.title << ", " << arguments.names << " names, "
            << arguments.dtype << "\n";
  return 0;
}

}  // namespace

void add_convert(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "convert",
      "Write a Depth Anything checkpoint as .safetensors, with its version in the metadata");
  const auto a = std::make_shared<Arguments>();
  command->add_option("in", a->in, "Checkpoint of any readable format")->required();
  command->add_option("out", a->out, "File to write, .safetensors")->required();
  command->add_option("--names", a->names, "official or hf (Hugging Face)")
      ->check(CLI::IsMember({"official", "hf"}))
      ->capture_default_str();
  command->add_option("--dtype", a->dtype, "f32, f16 or bf16")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  add_model_flags(*command, a->model);
  command->callback([a, &action] { action = [a] { return convert(*a); }; });
}

}  // namespace fathom::cli
