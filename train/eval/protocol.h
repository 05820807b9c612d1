#pragma once

#include <limits>
#include <string>
#include <vector>

#include "models/postprocess.h"
#include "train/eval/alignment.h"
#include "train/eval/crops.h"

namespace fathom {

/// What is compared with what. Published numbers differ most by this, so it is stored with every
/// result.
struct EvalProtocol {
  Alignment alignment = Alignment::least_squares_disparity;
  /// Pixels count where the truth is strictly between the two; predictions are limited to them.
  double min_depth_m = 1e-3, max_depth_m = std::numeric_limits<double>::infinity();
  EvalCrop crop = EvalCrop::none;
  bool kb_crop = false;                            // cuts image and truth first
  MapResize resize = MapResize::bilinear_corners;  // of predictions to the size of the truth
};

/// Sets min, max and crops as the metric evaluation of Depth Anything has them for a data set: nyu,
/// kitti, ibims, sunrgbd, diml_indoor, diml_outdoor, diode_indoor, diode_outdoor, hypersim_test,
/// vkitti2, ddad. Throws Error listing them.
/// Source: LiheYoung/Depth-Anything, metric_depth/zoedepth/utils/config.py.
void apply_dataset_protocol(const std::string& dataset, EvalProtocol& protocol);

std::string name_of(MapResize resize);

/// "align disparity, depth 0.001..80 m, crop garg after KB crop, resize bilinear (corners)".
std::string describe(const EvalProtocol& protocol);

}  // namespace fathom
