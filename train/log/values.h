#pragma once

#include <string>
#include <utility>
#include <vector>

namespace fathom {

/// Named numbers of one step, in the order in which people read them: {"train/loss", 0.12}.
using LogValues = std::vector<std::pair<std::string, double>>;

}  // namespace fathom
