#include "train/eval/protocol.h"

#include <cmath>
#include <sstream>

#include "core/error.h"

namespace fathom {

struct DatasetProtocol {
  const char* name;
  double min_depth_m, max_depth_m;
  EvalCrop crop;
  bool kb_crop;
};

static constexpr DatasetProtocol kDatasets[] = {
    {"nyu", 1e-3, 10, EvalCrop::eigen_nyu, false},
    {"kitti", 1e-3, 80, EvalCrop::garg, true},
    {"ibims", 0, 10, EvalCrop::eigen_nyu, false},
    {"sunrgbd", 0, 8, EvalCrop::eigen_nyu, false},
    {"diml_indoor", 0, 10, EvalCrop::eigen_nyu, false},
    {"diml_outdoor", 2, 80, EvalCrop::garg, false},
    {"diode_indoor", 1e-3, 10, EvalCrop::eigen_nyu, false},
    {"diode_outdoor", 1e-3, 80, EvalCrop::garg, false},
    {"hypersim_test", 1e-3, 80, EvalCrop::eigen_nyu, false},
    {"vkitti2", 1e-3, 80, EvalCrop::garg, true},
    {"ddad", 1e-3, 80, EvalCrop::garg, true},
};

void apply_dataset_protocol(const std::string& dataset, EvalProtocol& protocol) {
  std::string known;
  for (const DatasetProtocol& d : kDatasets) {
    known += (known.empty() ? "" : ", ") + std::string(d.name);
    if (dataset != d.name) continue;
    protocol.min_depth_m = d.min_depth_m;
    protocol.max_depth_m = d.max_depth_m;
    protocol.crop = d.crop;
    protocol.kb_crop = d.kb_crop;
    return;
  }
  fail("evaluation protocol '", dataset, "' is not known: expected ", known);
}

std::string name_of(MapResize resize) {
  switch (resize) {
    case MapResize::bilinear: return "bilinear, pixel areas";
    case MapResize::bilinear_corners: return "bilinear, corners";
    case MapResize::bicubic: return "bicubic";
  }
  fail("unknown resize method ", int(resize));
}

std::string describe(const EvalProtocol& protocol) {
  std::ostringstream text;
  text << "align " << name_of(protocol.alignment) << ", depth " << protocol.min_depth_m << "..";
  if (std::isinf(protocol.max_depth_m))
    text << "infinity";
  else
    text << protocol.max_depth_m << " m";
  text << ", crop " << name_of(protocol.crop) << (protocol.kb_crop ? " after the KB crop" : "")
       << ", resize " << name_of(protocol.resize);
  return text.str();
}

}  // namespace fathom
