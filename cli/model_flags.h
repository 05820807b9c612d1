#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "models/load.h"

namespace fathom::cli {

/// What a command line says about a checkpoint that cannot say it itself.
struct ModelArguments {
  std::string version, kind;
  double max_depth_m = 0;
  ModelFlags flags() const;
};

/// Adds --model-version, --kind and --max-depth.
void add_model_flags(CLI::App& command, ModelArguments& arguments);

/// The value of --dtype: f32, bf16 or f16.
DType dtype_argument(const std::string& name);

}  // namespace fathom::cli
