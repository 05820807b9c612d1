#pragma once

#include <string>

namespace fathom {

/// "0.1.0", the version of the project.
std::string version();
/// The git revision the binary was built from, or "unknown".
std::string revision();
/// One "name: value" line for each optional part, as printed by `fathom --version`.
std::string build_summary();

}  // namespace fathom
