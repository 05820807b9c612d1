#pragma once

#include <filesystem>
#include <string>

namespace fathom {

/// A run as one HTML page that needs no other file: what it was, how it went, what it can do.
/// Reads what a run leaves in its folder (train/run_folder.h): configuration, log, results, panels.
/// Throws Error when the folder is not that of a run.
std::string report_html(const std::filesystem::path& run);

}  // namespace fathom
