#include <iostream>

#include "cli/command.h"
#include "core/error.h"
#include "core/version.h"
#include "kernels/cpu/isa.h"

namespace fathom::cli {

static std::string version_text() {
  return "fathom " + version() + " (" + revision() + ")\n" + build_summary() +
         "cpu kernels: " + std::string(cpu::name_of(cpu::isa()));
}

static int run(int argc, char** argv) {
  CLI::App program(
      "Depth from a single photo: runs, inspects and converts Depth Anything checkpoints.",
      "fathom");
  program.set_version_flag("--version", [] { return version_text(); });
  program.require_subcommand(1);
  Action action;
  add_infer(program, action);
  add_info(program, action);
  add_convert(program, action);
  add_train(program, action);
  add_label(program, action);
  add_eval(program, action);
  add_report(program, action);
  add_synth(program, action);
  add_bench(program, action);
  add_profile(program, action);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
    const auto chosen = program.get_subcommands();
    const std::string command = chosen.empty() ? "" : " " + chosen.front()->get_name();
    const auto unknown = program.remaining();
    if (chosen.empty() && !unknown.empty())
      std::cerr << "fathom: no command '" << unknown.front() << "'; see fathom --help\n";
    else
      std::cerr << "fathom: " << error.what() << "; see fathom" << command << " --help\n";
    return 2;
  }
  return action();
}

}  // namespace fathom::cli

int main(int argc, char** argv) {
  try {
    return fathom::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "fathom: " << error.what() << "\n";
    return 1;
  }
}
