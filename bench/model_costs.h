#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/depth_anything.h"

namespace fathom::bench {

/// One op of a model with its natural epilogue: bias, activation and residual on the way to memory,
/// LayerScale folded into the weight. Every operand is read once and every result written once,
/// weights once for a batch; FLOPs are two for each multiply-add.
struct OpCost {
  enum class Group {
    input,
    encoder_product,
    attention,
    encoder_rows,
    decoder_product,
    decoder_resize,
    loss,
    optimizer
  };
  Group group;
  std::string name;
  int64_t count;            // times that it runs in one pass
  double flops = 0;         // of one image
  double image_bytes = 0;   // of one image
  double weight_bytes = 0;  // of one batch
  double exponentials = 0;  // of one image
};

/// The order in which a decoder is computed: as published, or with each 1x1 convolution before the
/// resize and the last resize within the convolution that follows it, which gives the same result.
enum class Order { published, fused };

struct CostOptions {
  int64_t height = 518, width = 518;
  /// Of activations and weights: 2 or 4. A training step with 2 keeps residuals, their gradients
  /// and those of weights in 4.
  int64_t element_bytes = 2;
  bool training = false;
  Order order = Order::fused;
};

/// Models with an MLP, not the giant with its SwiGLU.
std::vector<OpCost> forward_costs(const DepthAnythingConfig& model, const CostOptions& options);
std::vector<OpCost> backward_costs(const DepthAnythingConfig& model, const CostOptions& options);
/// SSI loss with gradient matching, gradient norm and AdamW.
std::vector<OpCost> update_costs(const DepthAnythingConfig& model, const CostOptions& options);

/// Elements of all parameters.
struct ParameterCounts {
  int64_t encoder = 0, decoder = 0;
};
ParameterCounts count_parameters(const DepthAnythingConfig& model);

/// What a machine does a second; 0: not a limit.
struct Roof {
  double flops = 0, bytes = 0, exponentials = 0;
};

/// Sums over ops and their counts. FLOPs and bytes are of one image, the latter with the weights'
/// share of one.
double total_flops(const std::vector<OpCost>& ops);
double total_bytes(const std::vector<OpCost>& ops, int64_t batch);
/// Seconds of a batch when every op runs at its own roofline, one after another.
double floor_s(const std::vector<OpCost>& ops, int64_t batch, const Roof& roof);

}  // namespace fathom::bench
