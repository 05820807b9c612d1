#include "train/infer/inputs.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include "core/error.h"

namespace fathom {

namespace fs = std::filesystem;

static bool looks_like_image(const fs::path& path) {
  static constexpr std::array<std::string_view, 9> kExtensions{
      ".jpg", ".jpeg", ".png", ".bmp", ".tga", ".ppm", ".pgm", ".pnm", ".jpe"};
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

static std::vector<fs::path> images_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->is_regular_file() && looks_like_image(it->path())) found.push_back(it->path());
  check(!error, folder.string(), ": cannot list the folder: ", error.message());
  check(!found.empty(), folder.string(),
        ": no image in this folder (.jpg .png .bmp .tga .ppm .pgm)");
  std::sort(found.begin(), found.end());
  return found;
}

static std::vector<fs::path> matches_of(const std::string& pattern) {
  glob_t result{};
  std::vector<fs::path> found;
  if (::glob(pattern.c_str(), GLOB_TILDE, nullptr, &result) == 0)
    for (size_t i = 0; i < result.gl_pathc; ++i) found.emplace_back(result.gl_pathv[i]);
  ::globfree(&result);
  check(!found.empty(), pattern, ": nothing matches this pattern");
  return found;
}

// The path below the output folder: relative, and never climbing out of it.
static fs::path safe_stem(const fs::path& relative) {
  fs::path stem;
  for (const fs::path& part : relative.lexically_normal().relative_path())
    if (part != ".." && part != ".") stem /= part;
  return stem.replace_extension();
}

static void add(const std::string& argument, std::vector<InferInput>& inputs) {
  const fs::path path(argument);
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    for (const fs::path& photo : images_in(path))
      inputs.push_back({photo, safe_stem(photo.lexically_relative(path))});
  } else if (!fs::exists(path, ignored) && argument.find_first_of("*?[") != std::string::npos) {
    for (const fs::path& match : matches_of(argument)) {
      if (fs::is_directory(match, ignored))
        add(match.string(), inputs);
      else
        inputs.push_back({match, safe_stem(match.filename())});
    }
  } else {
    inputs.push_back({path, safe_stem(path.filename())});
  }
}

static void make_stems_unique(std::vector<InferInput>& inputs) {
  std::map<fs::path, int> uses;
  for (const InferInput& input : inputs) ++uses[input.stem];
  std::set<fs::path> taken;
  for (InferInput& input : inputs) {
    if (uses[input.stem] > 1) {
      const std::string extension = input.photo.extension().string();
      if (extension.size() > 1) input.stem += "_" + extension.substr(1);
    }
    const fs::path base = input.stem;
    for (int n = 2; !taken.insert(input.stem).second; ++n)
      (input.stem = base) += "_" + std::to_string(n);
  }
}

std::vector<InferInput> collect_inputs(std::span<const std::string> arguments, std::istream& list) {
  std::vector<InferInput> inputs;
  for (const std::string& argument : arguments) {
    if (argument != "-") {
      add(argument, inputs);
      continue;
    }
    for (std::string line; std::getline(list, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) add(line, inputs);
    }
  }
  check(!inputs.empty(), "no input: name photos, folders or patterns, or '-' to read a list");
  make_stems_unique(inputs);
  return inputs;
}

}  // namespace fathom
