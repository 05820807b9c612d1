#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "train/eval/evaluate.h"

namespace fathom {

/// Where the predictions of a result come from: a model, or a folder of maps.
struct EvalSource {
  std::string model, weights, weights_hash;  // title, file and its XXH3 128
  int64_t size = 0;                          // of the network's input; 0 for a folder of maps
  Device device = kCpu;                      // where the network ran, and in what
  DType dtype = DType::f32;
  std::string predictions;  // the folder
  std::vector<std::filesystem::path> manifests;
};

/// Everything that is needed to read the numbers and to repeat them, as indented JSON: program,
/// source with hashes, protocol, counts, skipped images with their reasons, mean metrics.
std::string result_json(const EvalResult& result, const EvalSource& source,
                        const EvalOptions& options);

/// A line an image compared: its name, data set, pixels that counted, fit and metrics.
std::string per_image_csv(const EvalResult& result);

/// The mean metrics of disparity and depth, one a line, for people.
std::string metrics_table(const EvalResult& result);

/// "6 of 8 images compared; 2 skipped: 1 no_truth, 1 wrong_size".
std::string counts_text(const EvalResult& result);

/// Writes per_image.csv and result.json into a folder, which is made. Each appears whole or not at
/// all, the result last.
void write_result(const std::filesystem::path& folder, const std::string& json,
                  const std::string& csv);

}  // namespace fathom
