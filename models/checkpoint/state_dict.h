#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/checkpoint/names.h"

namespace fathom {

/// A tensor that a model wants: its official name and its shape as PyTorch has it (conv weights
/// [out, in, kh, kw]).
struct ExpectedTensor {
  std::string name;
  Shape shape;
};

/// Which tensor of a checkpoint goes where, and everything that does not fit.
struct StateDictMatch {
  struct MisShaped {
    std::string name;
    Shape expected;
    std::string found;  // a shape, or what else is wrong
  };
  std::vector<const NameMap::Source*> sources;  // one an expected tensor; nullptr: see below
  std::vector<std::string> missing, extra;
  std::vector<MisShaped> mis_shaped;

  bool exact() const { return missing.empty() && extra.empty() && mis_shaped.empty(); }
  /// What does not fit, on a few lines; long lists are cut, with their count.
  std::string report() const;
};

/// Strict matching by name and shape; nothing is read. Sources point into `names`.
StateDictMatch match_state_dict(std::span<const ExpectedTensor> expected, const NameMap& names,
                                const Archive& archive);

/// Throws Error with report() unless the match is exact.
void check_exact(const StateDictMatch& match, const Archive& archive);

}  // namespace fathom
