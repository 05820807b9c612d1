#pragma once

#include "train/config.h"
#include "train/losses.h"

namespace fathom {

/// The options of a loss section.
DepthLossOptions depth_loss_options(const LossSection& section);

}  // namespace fathom
