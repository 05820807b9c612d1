#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "core/device_choice.h"

namespace fathom::cli {

/// Adds --device; help ends with what stands when it is not given.
void add_device_flag(CLI::App& command, std::string& device, const std::string& otherwise);

/// Adds --dtype, of a network that only predicts.
void add_dtype_flag(CLI::App& command, std::string& dtype);

/// The device of a word, see choose_device(). What libraries find out on a GPU is kept for the next
/// run in the user's cache folder.
Device use_device(const std::string& name);

}  // namespace fathom::cli
