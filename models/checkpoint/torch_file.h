#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "models/checkpoint/archive.h"

namespace fathom {

/// Read what torch.save wrote, without executing it: the zip format (torch 1.6 and newer) and the
/// legacy one of five pickles followed by the storages.
///
/// Nested dicts and lists become dotted names ("model.module.norm.weight"); numbers and short
/// texts become metadata. A tensor alone is called "tensor". Elements of a view that does not
/// cover its storage, or is transposed, keep their strides.
/// Throws Error for TorchScript, whole pickled modules, big-endian files, and damage.
Archive parse_torch_zip(std::span<const std::byte> bytes, const std::string& path);
Archive parse_torch_legacy(std::span<const std::byte> bytes, const std::string& path);

/// The first bytes of the legacy format.
bool is_torch_legacy(std::span<const std::byte> bytes);

}  // namespace fathom
