#include "train/data/manifest.h"

#include <map>

#include "core/error.h"
#include "models/checkpoint/bytes.h"
#include "train/data/manifest_entry.h"

namespace fathom {

static bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

static std::string listed(const std::map<std::string, int64_t>& splits) {
  std::string text;
  for (const auto& [split, count] : splits)
    text += (text.empty() ? "" : ", ") + (split.empty() ? "none stated" : shown(split)) + " (" +
            std::to_string(count) + ")";
  return text;
}

Manifest::Manifest(const std::filesystem::path& path, std::string_view split)
    : file_(std::make_unique<MappedFile>(path)),
      files_(std::make_unique<FileStore>(path.parent_path())) {
  std::map<std::string, int64_t> splits;
  int64_t number = 0;
  for (uint64_t at = 0; at < text().size();) {
    const std::string_view line = text().substr(at, text().substr(at).find('\n'));
    ++number;
    if (!is_blank(line)) {
      const std::string where = path.string() + ":" + std::to_string(number);
      const ManifestEntry entry = parse_manifest_entry(line, where);
      if (splits.size() < 64 || splits.contains(entry.split)) ++splits[entry.split];
      if (split.empty() || entry.split == split) {
        lines_.push_back(at);
        labeled_ += entry.labeled();
      }
    }
    at += line.size() + 1;
  }
  check(!splits.empty(), path.string(), ": the manifest is empty; write one JSON object a line");
  check(!lines_.empty(), path.string(), ": no entry of split '", split, "'; the manifest has ",
        listed(splits));
  lines_.shrink_to_fit();
}

std::string_view Manifest::text() const { return as_text(file_->bytes()); }

ManifestEntry Manifest::entry(int64_t index) const {
  check(index >= 0 && index < size(), path().string(), ": entry ", index, " of ", size());
  const std::string_view rest = text().substr(lines_[size_t(index)]);
  return parse_manifest_entry(rest.substr(0, rest.find('\n')), path().string());
}

}  // namespace fathom
