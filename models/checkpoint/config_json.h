#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace fathom {

/// Adds the scalar fields of a Hugging Face config.json to the metadata, as "config." and the
/// dotted path; lists of scalars are joined by commas, null becomes "null".
/// Throws Error when it is larger than 1 MiB or not JSON.
void read_config_json(const std::filesystem::path& path,
                      std::map<std::string, std::string>& metadata);

}  // namespace fathom
