#pragma once

#include <filesystem>
#include <string>

#include "bench/plan.h"
#include "core/image.h"

namespace fathom::bench {

struct ModelBench {
  ModelSize size = ModelSize::S;
  ImageSize image{518, 518};  // the network's input; of a photo, follows from its size
  int64_t batch = 1;
  DType dtype = DType::f32;
  bool training = false;
  std::filesystem::path weights = {};  // empty: filled by a hash of the tensors' names
  std::filesystem::path photo = {};    // empty: a drawn one of twice the input's sides
};

/// The rows of a model: one for each window, and sums. A window is wall time between two calls of
/// the pass itself, one after another, nothing overlapping.
///
///   inference  decode (file to pixels), resize (to the input, normalized), encoder, decoder, post
///              (map to the photo's size), write (16-bit PNG, colour PNG, sidecar); network is
///              encoder + decoder, total all six.
///   training   forward (with the loss), backward, optimizer; step is all three.
///
/// On a GPU windows of the device end at events, and there are an upload of the input and a
/// download of the result between; network_graph is the network once more as a captured graph, and
/// gradients_graph forward and backward.
///
/// Rows with costs have the share of the kernel-sum floor as their roofline. The network's result
/// is compared with the same model in f64 (f32 for other dtypes); a wrong one gets no times.
/// On a GPU a model that cannot be measured, for lack of memory say, is one failed row.
struct ModelRows {
  std::vector<Row> rows;
  std::string weights_hash;
};
ModelRows run_model(const Meter& meter, CeilingLog& ceilings, const ModelBench& bench,
                    const Effort& effort);

/// The names of its rows on a device.
std::vector<std::string> model_row_names(const ModelBench& bench, Device device = kCpu);

}  // namespace fathom::bench
