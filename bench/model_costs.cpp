#include "bench/model_costs.h"

#include <algorithm>

namespace fathom::bench {
namespace {

using Group = OpCost::Group;

// The sizes that costs are made of, as doubles: products pass 2^53 nowhere near rounding, and
// integers would overflow unseen.
struct Sizes {
  double C, hidden, layers, heads, F;  // channels; features of the decoder
  double out[4];                       // channels of the decoder's levels
  double pixels, P, T;                 // of the input; patches; tokens
  double level[4], resized[4];         // pixels of the levels, finest first; of their resizes
  double fine;                         // pixels of the map that enters the last resize
  double K;                            // values of a patch, padded to whole vectors
  double E, residual;                  // bytes: of an element, of one of the residual stream

  Sizes(const DepthAnythingConfig& m, const CostOptions& o) {
    const int64_t p = m.encoder.patch;
    check(!m.encoder.swiglu, "costs: models with SwiGLU are not counted");
    check(o.height > 0 && o.width > 0 && o.height % p == 0 && o.width % p == 0, "costs: ", o.height,
          " x ", o.width, " is not a multiple of the patch size ", p);
    check(o.element_bytes == 2 || o.element_bytes == 4, "costs: elements have 2 or 4 bytes, got ",
          o.element_bytes);
    const int64_t h = o.height / p, w = o.width / p;
    C = double(m.encoder.channels), hidden = double(m.encoder.hidden);
    layers = double(m.encoder.layers), heads = double(m.encoder.heads);
    F = double(m.head.features);
    for (size_t i = 0; i < 4; ++i) out[i] = double(m.head.out_channels[i]);
    pixels = double(o.height * o.width);
    P = double(h * w), T = P + 1;
    level[0] = double(16 * h * w), level[1] = double(4 * h * w), level[2] = P;
    level[3] = double(ceil_div(h, 2) * ceil_div(w, 2));
    fine = double(64 * h * w);
    resized[3] = level[2], resized[2] = level[1], resized[1] = level[0], resized[0] = fine;
    K = double(round_up(3 * p * p, 16));
    E = double(o.element_bytes);
    residual = o.training ? 4 : E;
  }
};

class List {
 public:
  explicit List(const Sizes& sizes) : s_(sizes) {}

  OpCost& add(Group group, std::string name, double count = 1) {
    ops_.push_back({group, std::move(name), int64_t(count)});
    return ops_.back();
  }
  /// M x K times K x N; `extra` bytes beside the operands, `result` bytes an element of the result.
  OpCost& product(Group group, const std::string& name, double M, double K, double N,
                  double count = 1, double extra = 0, double result = 0) {
    OpCost& op = add(group, name, count);
    op.flops = 2 * M * K * N;
    op.image_bytes = M * K * s_.E + M * N * (result > 0 ? result : s_.E) + extra;
    op.weight_bytes = K * N * s_.E;
    return op;
  }
  /// A convolution to `pixels` from a map of `from` pixels.
  OpCost& conv(const std::string& name, double pixels, double from, double in, double out,
               double kernel, double count = 1, double extra = 0) {
    OpCost& op = add(Group::decoder_product, name, count);
    const double K = kernel * kernel * in;
    op.flops = 2 * pixels * K * out;
    op.image_bytes = from * in * s_.E + pixels * out * s_.E + extra;
    op.weight_bytes = K * out * s_.E;
    return op;
  }
  OpCost& moves(Group group, const std::string& name, double bytes, double count = 1) {
    OpCost& op = add(group, name, count);
    op.image_bytes = bytes;
    return op;
  }
  std::vector<OpCost> take() { return std::move(ops_); }

 private:
  const Sizes& s_;
  std::vector<OpCost> ops_;
};

void add_encoder(const Sizes& s, bool training, List& list) {
  const double tokens = s.T * s.C;
  const auto product = Group::encoder_product;
  list.moves(Group::input, "normalize and cut into patches", 3 * s.pixels + s.P * s.K * s.E);
  OpCost& patches = list.product(product, "patch embed", s.P, s.K, s.C, 1, 0, s.residual);
  patches.weight_bytes += s.P * s.C * s.E;  // the positions
  patches.flops = 2 * s.P * 588 * s.C;      // without the padding
  list.moves(Group::encoder_rows, "norm1", tokens * (s.residual + s.E), s.layers);
  list.product(product, "qkv", s.T, s.C, 3 * s.C, s.layers);
  OpCost& attention = list.moves(Group::attention, "attention",
                                 4 * tokens * s.E + (training ? s.T * s.heads * 4 : 0), s.layers);
  attention.flops = 4 * s.T * s.T * s.C;
  attention.exponentials = s.heads * s.T * s.T;
  list.product(product, "proj", s.T, s.C, s.C, s.layers, tokens * s.residual, s.residual);
  list.moves(Group::encoder_rows, "norm2", tokens * (s.residual + s.E), s.layers);
  list.product(product, "fc1", s.T, s.C, s.hidden, s.layers,
               training ? s.T * s.hidden * s.E : 0);  // what enters the GELU is kept
  list.product(product, "fc2", s.T, s.hidden, s.C, s.layers, tokens * s.residual, s.residual);
  list.moves(Group::encoder_rows, "norm of the taps", tokens * (s.residual + s.E), 4);
}

std::string numbered(const char* name, int i) { return name + std::to_string(i + 1); }

void add_fusion(const Sizes& s, int i, Order order, List& list) {
  const std::string name = numbered("refinenet", i);
  const double map = s.level[i] * s.F * s.E, units = i == 3 ? 1 : 2;
  const double larger = s.resized[i] * s.F * s.E;
  list.conv(name + " rcu conv1", s.level[i], s.level[i], s.F, s.F, 3, units);
  list.conv(name + " rcu conv2", s.level[i], s.level[i], s.F, s.F, 3, units, map);
  if (order == Order::published) {
    list.moves(Group::decoder_resize, name + " resize", map + larger);
    list.conv(name + " out_conv", s.resized[i], s.resized[i], s.F, s.F, 1);
    return;
  }
  list.conv(name + " out_conv", s.level[i], s.level[i], s.F, s.F, 1);
  // The next finer level is added while the map is written.
  list.moves(Group::decoder_resize, name + " resize", map + larger + (i == 0 ? 0 : larger));
}

void add_decoder(const Sizes& s, Order order, List& list) {
  const auto product = Group::decoder_product;
  for (int i = 0; i < 4; ++i) list.product(product, numbered("project", i), s.P, s.C, s.out[i]);
  list.product(product, "resize1", s.P, s.out[0], 16 * s.out[0]);
  list.product(product, "resize2", s.P, s.out[1], 4 * s.out[1]);
  list.conv("resize4", s.level[3], s.P, s.out[3], s.out[3], 3);
  for (int i = 0; i < 4; ++i)
    list.conv(numbered("layer", i) + "_rn", s.level[i], s.level[i], s.out[i], s.F, 3);
  for (const int i : {3, 2, 1, 0}) add_fusion(s, i, order, list);
  list.conv("output_conv1", s.fine, s.fine, s.F, s.F / 2, 3);
  if (order == Order::published) {
    list.moves(Group::decoder_resize, "last resize", (s.fine + s.pixels) * (s.F / 2) * s.E);
    list.conv("output_conv2.0", s.pixels, s.pixels, s.F / 2, 32, 3);
    list.conv("output_conv2.2", s.pixels, s.pixels, 32, 1, 1);
    return;
  }
  OpCost& head = list.conv("head", s.pixels, s.pixels, s.F / 2, 32, 3);
  head.flops += 2 * s.pixels * 32;
  head.image_bytes = s.fine * (s.F / 2) * s.E + s.pixels * 4;
}

// The gradient of a weight is summed over a batch and written once, in f32.
void add_weight_gradient(const Sizes& s, const std::string& name, double M, double K, double N,
                         double count, List& list) {
  OpCost& op = list.add(Group::encoder_product, name + " weight gradient", count);
  op.flops = 2 * M * K * N;
  op.image_bytes = M * (K + N) * s.E;
  op.weight_bytes = K * N * 4;
}

void add_encoder_gradients(const Sizes& s, List& list) {
  const double tokens = s.T * s.C, wide = s.T * s.hidden;
  const auto product = Group::encoder_product;
  // dy and the gradient of the residual stream in f32; with bf16 also its copy for the products.
  const double norm = tokens * s.E + 3 * tokens * 4, copy = s.E == 2 ? tokens * s.E : 0;
  list.product(product, "fc2 input gradient", s.T, s.C, s.hidden, s.layers, wide * s.E);
  add_weight_gradient(s, "fc2", s.T, s.hidden, s.C, s.layers, list);
  list.product(product, "fc1 input gradient", s.T, s.hidden, s.C, s.layers);
  add_weight_gradient(s, "fc1", s.T, s.C, s.hidden, s.layers, list);
  list.moves(Group::encoder_rows, "norm2 gradients", norm + copy, s.layers);
  list.product(product, "proj input gradient", s.T, s.C, s.C, s.layers);
  add_weight_gradient(s, "proj", s.T, s.C, s.C, s.layers, list);
  OpCost& attention = list.moves(Group::attention, "attention gradient",
                                 8 * tokens * s.E + s.T * s.heads * 8, s.layers);
  attention.flops = 10 * s.T * s.T * s.C;
  attention.exponentials = s.heads * s.T * s.T;
  list.product(product, "qkv input gradient", s.T, 3 * s.C, s.C, s.layers);
  add_weight_gradient(s, "qkv", s.T, s.C, 3 * s.C, s.layers, list);
  list.moves(Group::encoder_rows, "norm1 gradients", norm + copy, s.layers);
  list.moves(Group::encoder_rows, "norm of the taps gradients", norm, 4);
  add_weight_gradient(s, "patch embed", s.P, s.K, s.C, 1, list);
}

// Every product of the decoder has a gradient for its input and one for its weight, each with the
// operands and operations of the forward pass.
void add_decoder_gradients(const Sizes& s, const std::vector<OpCost>& forward, List& list) {
  for (const OpCost& f : forward) {
    if (f.group == Group::decoder_resize)
      list.moves(Group::decoder_resize, f.name + " gradient", f.image_bytes, double(f.count));
    if (f.group != Group::decoder_product) continue;
    const bool head = f.name == "head";  // resizes again instead of keeping the large map
    double bytes = f.image_bytes, mask = 0;
    if (head) bytes = 2 * s.fine * (s.F / 2) * s.E + s.pixels * 4;
    if (f.name.find("rcu") != std::string::npos)  // the input that decided its ReLU
      mask = s.level[f.name[9] - '1'] * s.F * s.E;
    OpCost& input = list.add(f.group, f.name + " input gradient", double(f.count));
    input.flops = f.flops * (head ? 2 : 1);
    input.image_bytes = bytes + mask;
    input.weight_bytes = f.weight_bytes;
    OpCost& weight = list.add(f.group, f.name + " weight gradient", double(f.count));
    weight.flops = f.flops;
    weight.image_bytes = bytes;
    weight.weight_bytes = f.weight_bytes * 4 / s.E;
  }
}

double seconds(const OpCost& op, int64_t batch, const Roof& roof) {
  const auto at = [](double amount, double rate) { return rate > 0 ? amount / rate : 0; };
  const double images = double(batch);
  return std::max({at(op.flops * images, roof.flops),
                   at(op.image_bytes * images + op.weight_bytes, roof.bytes),
                   at(op.exponentials * images, roof.exponentials)});
}

}  // namespace

std::vector<OpCost> forward_costs(const DepthAnythingConfig& model, const CostOptions& options) {
  const Sizes s(model, options);
  List list(s);
  add_encoder(s, options.training, list);
  add_decoder(s, options.order, list);
  return list.take();
}

std::vector<OpCost> backward_costs(const DepthAnythingConfig& model, const CostOptions& options) {
  CostOptions training = options;
  training.training = true;
  const Sizes s(model, training);
  List list(s);
  add_encoder_gradients(s, list);
  add_decoder_gradients(s, forward_costs(model, training), list);
  return list.take();
}

std::vector<OpCost> update_costs(const DepthAnythingConfig& model, const CostOptions& options) {
  const Sizes s(model, options);
  const ParameterCounts parameters = count_parameters(model);
  const double all = double(parameters.encoder + parameters.decoder);
  List list(s);
  // Prediction, target and mask twice, for the statistics and for the loss; the gradient once.
  list.moves(Group::loss, "ssi loss", 2 * 9 * s.pixels + 4 * s.pixels);
  // Four strided levels forward and backward; the residual read and its gradient written.
  list.moves(
      Group::loss, "gradient matching",
      double(int64_t(2 * 4 * s.pixels * (1 + 1 / 4.0 + 1 / 16.0 + 1 / 64.0))) + 8 * s.pixels);
  list.add(Group::optimizer, "gradient norm").weight_bytes = 4 * all;
  // Gradient, weight and two moments read, the latter three written; a bf16 copy.
  list.add(Group::optimizer, "adamw").weight_bytes = (s.E == 2 ? 30 : 28) * all;
  return list.take();
}

ParameterCounts count_parameters(const DepthAnythingConfig& model) {
  const auto& e = model.encoder;
  const int64_t C = e.channels, F = model.head.features;
  const auto& out = model.head.out_channels;
  ParameterCounts n;
  n.encoder = 3 * e.patch * e.patch * C + C + C + C + (1 + e.table * e.table) * C;
  // Four products with biases, two norms, two LayerScales; the last norm.
  n.encoder += e.layers * (4 * C * C + 2 * C * e.hidden + 5 * C + e.hidden + 4 * C + 2 * C) + 2 * C;
  for (const int64_t c : out) n.decoder += C * c + c + 9 * c * F;  // project and layer_rn
  n.decoder += 16 * out[0] * out[0] + out[0] + 4 * out[1] * out[1] + out[1];
  n.decoder += 9 * out[3] * out[3] + out[3];
  n.decoder += 4 * (4 * (9 * F * F + F) + F * F + F);
  n.decoder += 9 * F * (F / 2) + F / 2 + 9 * (F / 2) * 32 + 32 + 32 + 1;
  return n;
}

double total_flops(const std::vector<OpCost>& ops) {
  double sum = 0;
  for (const OpCost& op : ops) sum += op.flops * double(op.count);
  return sum;
}

double total_bytes(const std::vector<OpCost>& ops, int64_t batch) {
  double sum = 0;
  for (const OpCost& op : ops)
    sum += (op.image_bytes * double(batch) + op.weight_bytes) * double(op.count);
  return sum / double(batch);
}

double floor_s(const std::vector<OpCost>& ops, int64_t batch, const Roof& roof) {
  double sum = 0;
  for (const OpCost& op : ops) sum += seconds(op, batch, roof) * double(op.count);
  return sum;
}

}  // namespace fathom::bench
