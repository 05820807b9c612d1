#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

namespace fathom::cli {

/// What a parsed command line runs; returns the exit status.
using Action = std::function<int()>;

// Each command adds itself to the program and sets `action` when it is the one chosen.
void add_infer(CLI::App& program, Action& action);
void add_info(CLI::App& program, Action& action);
void add_convert(CLI::App& program, Action& action);
void add_train(CLI::App& program, Action& action);
void add_label(CLI::App& program, Action& action);
void add_report(CLI::App& program, Action& action);
void add_synth(CLI::App& program, Action& action);
void add_eval(CLI::App& program, Action& action);
void add_bench(CLI::App& program, Action& action);    // in bench/
void add_profile(CLI::App& program, Action& action);  // in bench/

}  // namespace fathom::cli
