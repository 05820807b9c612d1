#include "train/nearest_name.h"

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace fathom {

int edit_distance(std::string_view a, std::string_view b) {
  const size_t columns = b.size() + 1;
  std::vector<int> table((a.size() + 1) * columns);
  const auto at = [&](size_t i, size_t j) -> int& { return table[i * columns + j]; };
  for (size_t i = 0; i <= a.size(); ++i) at(i, 0) = int(i);
  for (size_t j = 0; j <= b.size(); ++j) at(0, j) = int(j);
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = at(i - 1, j - 1) + (a[i - 1] != b[j - 1]);
      at(i, j) = std::min({replace, at(i - 1, j) + 1, at(i, j - 1) + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  return at(a.size(), b.size());
}

static std::string_view last_part(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::string nearest_dotted_name(std::string_view wrong, std::span<const std::string> names) {
  check(!names.empty(), "nearest_dotted_name: no names");
  const auto distance = [&](const std::string& name) {
    return std::min(edit_distance(wrong, name),
                    1 + edit_distance(last_part(wrong), last_part(name)));
  };
  return *std::ranges::min_element(names, {}, distance);
}

}  // namespace fathom
