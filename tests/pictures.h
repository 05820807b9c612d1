#pragma once

#include <filesystem>
#include <iostream>

#include "core/file.h"
#include "core/image.h"
#include "core/version.h"

namespace fathom {

/// Whether this build has an optional library, as in "jpeg: libjpeg-turbo"; says that a test is
/// skipped if not.
inline bool built_with(const std::string& line) {
  const bool there = build_summary().find(line + "\n") != std::string::npos;
  if (!there) std::cerr << "skipped: this build does not have " << line << "\n";
  return there;
}
inline bool built_with_jpeg() { return built_with("jpeg: libjpeg-turbo"); }
inline bool built_with_png() { return built_with("png: libpng"); }

/// A picture that every build can write and read.
inline void write_ppm(const std::filesystem::path& path, const Image8& image) {
  AtomicFile file(path);
  file.write("P6 " + std::to_string(image.width) + " " + std::to_string(image.height) + " 255\n");
  file.write(std::as_bytes(std::span(image.pixels)));
  file.commit();
}

}  // namespace fathom
