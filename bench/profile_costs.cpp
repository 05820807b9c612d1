#include "bench/profile_costs.h"

#include <algorithm>

namespace fathom::bench {
namespace {

using profile::Pass;

struct Placement {
  std::string layer;
  std::vector<std::string> ops;
};

const char* const kAttention = "pretrained.blocks.*.attn";
const char* const kMlp = "pretrained.blocks.*.mlp";

Placement place_in_encoder(const std::string& name) {
  if (name == "patch embed" || name == "normalize and cut into patches")
    return {"pretrained.tokens", {"conv2d"}};
  if (name == "norm1") return {kAttention, {"layer_norm"}};
  if (name == "qkv") return {kAttention, {"linear"}};
  if (name == "attention") return {kAttention, {"attention"}};
  if (name == "proj") return {kAttention, {"linear_residual"}};
  if (name == "norm2") return {kMlp, {"layer_norm"}};
  if (name == "fc1") return {kMlp, {"linear_gelu", "linear"}};
  if (name == "fc2") return {kMlp, {"linear_residual"}};
  if (name == "norm of the taps") return {"pretrained.norm", {"layer_norm"}};
  fail("profile: no layer for the cost ", name);
}

// "refinenet3 rcu conv1" runs in the layer refinenet3.
Placement place_in_decoder(const std::string& name) {
  const std::string head = "depth_head.";
  if (name.starts_with("project"))
    return {head + "projects." + std::to_string(std::stoi(name.substr(7)) - 1), {"conv2d"}};
  if (name == "resize1") return {head + "resize_layers.0", {"linear"}};
  if (name == "resize2") return {head + "resize_layers.1", {"linear"}};
  if (name == "resize4") return {head + "resize_layers.3", {"conv2d"}};
  if (name == "head") return {head + "output_conv2", {"conv2d.depth_head", "conv2d"}};
  if (name == "refinenet1 resize")  // by the convolution that reads the result
    return {head + "output_conv1", {"interpolate_bilinear", "conv2d"}};
  if (name.ends_with(" resize")) return {head + "resize", {"interpolate_bilinear"}};
  return {head + name.substr(0, name.find(' ')), {"conv2d"}};
}

Placement place_forward(const OpCost& cost) {
  using Group = OpCost::Group;
  if (cost.name == "ssi loss") return {"loss", {"masked_statistics"}};
  if (cost.name == "gradient matching") return {"loss", {"gradient_matching"}};
  if (cost.name == "gradient norm") return {"optimizer", {"adamw.sum_of_squares"}};
  if (cost.name == "adamw") return {"optimizer", {"adamw"}};
  const bool decoder = cost.group == Group::decoder_product || cost.group == Group::decoder_resize;
  return decoder ? place_in_decoder(cost.name) : place_in_encoder(cost.name);
}

// Whether a convolution's gradients are products of matrices wherever there is a choice: not those
// of 3 x 3 with stride 1.
bool is_product(const std::string& name) {
  return name == "patch embed" || name == "resize4" || name.starts_with("project") ||
         name.ends_with("out_conv");
}

// The gradient of an op belongs to its layer; the names are those of the functions in kernels/.
Placement place_backward(const OpCost& cost) {
  OpCost forward = cost;
  std::string what;
  for (const char* ending : {" input gradient", " weight gradient", " gradients", " gradient"})
    if (forward.name.ends_with(ending)) {
      what = ending + 1;
      forward.name.resize(forward.name.size() - what.size() - 1);
      break;
    }
  Placement place = place_forward(forward);
  const std::string op = place.ops.front();
  if (op.starts_with("linear"))
    place.ops = {what == "input gradient" ? "linear.input_gradient" : "linear.weight_gradient"};
  else if (op.starts_with("conv2d"))
    place.ops = {"conv2d.direct_gradients", "conv2d.product_gradients"};
  if (is_product(forward.name)) std::reverse(place.ops.begin(), place.ops.end());
  return place;
}

}  // namespace

std::vector<PlacedCost> placed_costs(const DepthAnythingConfig& model, const CostOptions& options) {
  std::vector<PlacedCost> placed;
  const auto add = [&](const std::vector<OpCost>& costs, Pass pass) {
    for (const OpCost& cost : costs) {
      Placement place = pass == Pass::backward ? place_backward(cost) : place_forward(cost);
      placed.push_back({cost, std::move(place.layer), pass, std::move(place.ops)});
    }
  };
  if (model.encoder.swiglu) return {};  // not counted
  add(forward_costs(model, options), Pass::forward);
  if (!options.training) return placed;
  add(backward_costs(model, options), Pass::backward);
  for (const OpCost& cost : update_costs(model, options))
    add({cost}, cost.group == OpCost::Group::loss ? Pass::forward : Pass::update);
  return placed;
}

}  // namespace fathom::bench
