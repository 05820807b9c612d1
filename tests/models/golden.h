#pragma once

#include "core/tensor.h"

namespace fathom {

// Reference outputs of the official PyTorch code in fp32, with weights and input filled by
// tests/models/hash_fill.h. They were printed with five or six decimals, so 1e-4 is twenty times
// the rounding of the print.
constexpr double kGolden = 1e-4;

struct GoldenOutput {
  int64_t height, width;
  double mean, min, max;
  double top_left, top_right, bottom_left, bottom_right, centre, at_13_14, at_1_2;
};

inline constexpr GoldenOutput kV2S70{70,      98,      3.667933, 1.702071, 5.784688, 4.48544,
                                     4.00346, 4.30603, 4.44444,  4.81886,  3.02458,  4.33378};
inline constexpr GoldenOutput kV1S70{70,      98,      3.613149, 1.413233, 5.899844, 4.68024,
                                     3.86323, 4.53479, 4.42132,  4.95018,  3.45899,  4.22745};
inline constexpr GoldenOutput kMetricS70{70,        98,       8.478642, 1.825893,
                                         17.125496, 12.38062, 10.01731, 11.51832,
                                         12.18634,  13.87990, 5.47603,  11.65357};
inline constexpr GoldenOutput kV2S518{518,     518,     3.580555, 0.691416, 7.006067, 4.43481,
                                      4.08135, 3.89269, 3.70554,  3.87322,  4.26978,  3.31934};

/// The largest absolute difference between a depth map [1, height, width] and the golden numbers.
double golden_deviation(const Tensor& depth, const GoldenOutput& golden);

}  // namespace fathom
