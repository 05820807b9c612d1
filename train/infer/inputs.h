#pragma once

#include <filesystem>
#include <istream>
#include <span>
#include <string>
#include <vector>

namespace fathom {

/// One photo to process. `stem` is its path under the output folder, without extension: folders
/// given as input keep their inner structure, and no two inputs share a stem.
struct InferInput {
  std::filesystem::path photo;
  std::filesystem::path stem;
};

/// Expands what stands on the command line: a file; a folder (every image inside, recursively, by
/// extension, sorted); a pattern with * ? [] that the shell left alone; or "-", which reads one
/// path a line from `list`. Two inputs with the same stem get the extension, then a number.
/// A missing file is kept, so that it is reported with its reason like any other bad photo; a
/// pattern or folder without an image throws Error.
std::vector<InferInput> collect_inputs(std::span<const std::string> arguments, std::istream& list);

}  // namespace fathom
