#pragma once

#include <span>
#include <string>
#include <string_view>

namespace fathom {

/// The fewest insertions, deletions, replacements and swaps of neighbours that turn a into b.
/// Source: Damerau (1964), in the restricted form (optimal string alignment).
int edit_distance(std::string_view a, std::string_view b);

/// The dotted name that somebody who wrote `wrong` most likely meant: the fewest edits, where a
/// right key in a wrong section counts as one.
std::string nearest_dotted_name(std::string_view wrong, std::span<const std::string> names);

}  // namespace fathom
