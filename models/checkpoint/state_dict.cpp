#include "models/checkpoint/state_dict.h"

#include <algorithm>
#include <sstream>
#include <unordered_set>

#include "models/checkpoint/bytes.h"

namespace fathom {

constexpr size_t kListed = 8;  // names a list shows before it is cut

// Why an expected tensor is not there: skipped by the reader, or plainly absent.
static std::string missing_text(const std::string& name, const NameMap& names,
                                const Archive& archive) {
  std::vector<std::string> spellings = {name};
  if (names.style == NameStyle::hf || names.style == NameStyle::hf_backbone)
    spellings = hf_names(name);
  for (const std::string& spelling : spellings)
    for (const Skipped& skipped : archive.skipped)
      if (skipped.name.ends_with(spelling))
        return name + " (in the file, but " + skipped.reason + ")";
  return name;
}

StateDictMatch match_state_dict(std::span<const ExpectedTensor> expected, const NameMap& names,
                                const Archive& archive) {
  StateDictMatch match;
  std::unordered_set<std::string_view> wanted;
  for (const ExpectedTensor& tensor : expected) {
    wanted.insert(tensor.name);
    match.sources.push_back(nullptr);
    const NameMap::Source* const source = names.find(tensor.name);
    if (source == nullptr) {
      match.missing.push_back(missing_text(tensor.name, names, archive));
      continue;
    }
    if (!source->complete()) {
      const std::vector<std::string> spellings = hf_names(tensor.name);
      for (size_t i = 0; i < source->parts.size(); ++i)
        if (source->parts[i] == nullptr)
          match.missing.push_back(missing_text(names.prefix + spellings[i], names, archive));
      continue;
    }
    std::ostringstream found;
    const Entry& first = *source->parts[0];
    for (const Entry* part : source->parts)
      if (part->shape != first.shape || part->dtype != first.dtype)
        found << "query, key and value of different shape or dtype (" << first.shape << " "
              << first.dtype << ", " << part->shape << " " << part->dtype << ")";
    if (found.str().empty() && source->shape() == tensor.shape) {
      match.sources.back() = source;
      continue;
    }
    if (found.str().empty()) found << source->shape();
    match.mis_shaped.push_back({tensor.name, tensor.shape, found.str()});
  }
  for (const NameMap::Source& source : names.sources)
    if (!wanted.contains(source.name)) match.extra.push_back(source.name);
  match.extra.insert(match.extra.end(), names.extra.begin(), names.extra.end());
  return match;
}

static void list(std::ostream& out, const char* title, const std::vector<std::string>& items) {
  if (items.empty()) return;
  out << "\n  " << items.size() << " " << title << ":";
  for (size_t i = 0; i < std::min(items.size(), kListed); ++i) out << (i ? ", " : " ") << items[i];
  if (items.size() > kListed) out << " and " << items.size() - kListed << " more";
}

std::string StateDictMatch::report() const {
  std::ostringstream out;
  list(out, "missing", missing);
  list(out, "extra", extra);
  std::vector<std::string> shapes;
  for (const MisShaped& tensor : mis_shaped) {
    std::ostringstream text;
    text << tensor.name << " (expected " << tensor.expected << ", found " << tensor.found << ")";
    shapes.push_back(text.str());
  }
  list(out, "of another shape", shapes);
  return out.str();
}

void check_exact(const StateDictMatch& match, const Archive& archive) {
  check(match.exact(), archive.path, ": the tensors are not those of the model:", match.report(),
        "\n  Is this checkpoint of the model and size that was asked for?");
}

}  // namespace fathom
