#pragma once

#include <fstream>
#include <string>

#include "tests/scratch.h"

namespace fathom {

/// A scratch folder with a way to put files into it.
struct Folder : ScratchFolder {
  using ScratchFolder::ScratchFolder;

  std::filesystem::path write(const std::string& name, const std::string& contents) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << contents;
    return path / name;
  }
};

}  // namespace fathom
