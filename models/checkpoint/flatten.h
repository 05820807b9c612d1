#pragma once

#include <functional>
#include <string>

#include "models/checkpoint/archive.h"
#include "models/checkpoint/pickle.h"

namespace fathom {

/// Where a storage lies: its bytes from the first element that its tensors count from.
using StorageBytes = std::function<std::span<const std::byte>(const Pickle::Value& storage)>;

/// Appends the tensors of a pickled state dict or training dict to the archive, under dotted
/// names, and its small scalars to the metadata. Depth, steps and the bytes of all names are
/// bounded by the size of the pickle, so shared or circular parts cannot blow it up. Every view
/// is checked against its storage.
void flatten(const Pickle& pickle, const std::string& where, const StorageBytes& storage_bytes,
             Archive& archive);

}  // namespace fathom
