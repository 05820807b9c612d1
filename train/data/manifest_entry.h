#pragma once

#include <string_view>

#include "train/data/manifest.h"

namespace fathom {

/// Reads one line of a manifest (train/data/manifest.h). `where` opens every message of the Error
/// that it throws for a line that is not one.
ManifestEntry parse_manifest_entry(std::string_view line, const std::string& where);

}  // namespace fathom
