#include "bench/worker/contender.h"

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "core/autograd.h"
#include "core/file.h"
#include "kernels/attention.h"
#include "kernels/bilinear.h"
#include "kernels/conv2d.h"
#include "kernels/elementwise.h"
#include "kernels/layer_norm.h"
#include "kernels/reduce.h"
#include "kernels/ssi_loss.h"
#include "models/load.h"
#include "train/optimizer.h"

namespace fathom::bench {
namespace {

using Json = nlohmann::json;
using Tensors = std::vector<Tensor>;

DType dtype_named(const std::string& name) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    if (name_of(dtype) == name) return dtype;
  fail("dtype ", name, ": expected f32, bf16 or f16");
}

Tensor read_input(const Json& input, TensorOptions options) {
  Shape shape;
  {
    const std::vector<int64_t> extents = input.at("shape").get<std::vector<int64_t>>();
    shape = Shape(std::span<const int64_t>(extents));
  }
  const std::string path = input.at("path").get<std::string>();
  const std::string bytes = read_text(path, int64_t(1) << 34);
  Tensor values = empty(shape);
  check(int64_t(bytes.size()) == values.bytes(), path, ": ", bytes.size(), " bytes, expected ",
        values.bytes(), " for ", shape);
  std::memcpy(values.data<float>(), bytes.data(), bytes.size());
  return values.to(options.device).to(options.dtype);
}

Tensor on_host(const Tensor& x) { return x.detach().contiguous().to(kCpu).to(DType::f32); }

Tensor joined(const Tensors& parts) {
  Tensors flat;
  for (const Tensor& part : parts) flat.push_back(on_host(part).view({part.numel()}));
  return concat(flat, 0);
}

// An op on leaves, with the gradient of its result: any pass over it.
struct Pass : std::enable_shared_from_this<Pass> {
  std::function<Tensor(const Tensors&)> op;
  Tensors leaves;
  std::vector<size_t> differentiated;
  std::function<void()> clear_more = [] {};  // gradients of parameters
  Tensor dy, y;

  void clear() {
    y = {};
    for (Tensor& leaf : leaves) leaf.clear_grad();
    clear_more();
  }

  Work work(const std::string& pass) {
    const auto self = shared_from_this();
    if (pass == "forward")
      return {[self] {
        const NoGrad no_grad;
        self->y = {};
        self->y = self->op(self->leaves);
      }};
    if (pass == "backward")
      return {.call = [self] { backward(self->y, self->dy); },
              .prepare =
                  [self] {
                    self->clear();
                    self->y = self->op(self->leaves);
                  }};
    check(pass == "both", "pass ", pass, ": expected forward, backward or both");
    return {[self] {
      self->clear();
      self->y = self->op(self->leaves);
      backward(self->y, self->dy);
      self->y = self->y.detach();
    }};
  }

  Tensor result(const std::string& pass) const {
    if (pass == "forward") return on_host(y);
    Tensors gradients;
    for (const size_t i : differentiated) gradients.push_back(leaves[i].grad());
    return joined(gradients);
  }
};

std::shared_ptr<DepthAnything> model_of(const Json& request, TensorOptions options,
                                        bool gradients) {
  auto model =
      std::make_shared<DepthAnything>(load_model(request.at("weights").get<std::string>()).model);
  if (!gradients) {
    prepare_for_inference(*model, options.dtype, options.device);
    return model;
  }
  for_each_parameter(*model, [&](const std::string&, Tensor& t, AxisOrder) {
    t = t.detach().to(options.device).to(options.dtype);
  });
  require_grad(*model);
  return model;
}

Tensor decode(const DepthAnything& model, Tensors maps, int64_t height, int64_t width) {
  return model.depth_head(std::move(maps), height, width, HeadActivation::relu, 1);
}

// The ops by name; `model` is of those that have one.
std::function<Tensor(const Tensors&)> op_of(const Json& request,
                                            const std::shared_ptr<DepthAnything>& model) {
  const std::string op = request.at("op").get<std::string>();
  const auto size = request.value("size", std::vector<int64_t>{0, 0});
  check(size.size() == 2, "size: expected height and width");
  const int64_t H = size[0], W = size[1];
  if (op == "attention")
    return [heads = request.at("heads").get<int64_t>()](const Tensors& in) {
      return attention(in[0], heads);
    };
  if (op == "layer_norm_add")
    return [](const Tensors& in) { return add(layer_norm(in[0], in[1], in[2]), in[0]); };
  if (op == "conv3x3")
    return [](const Tensors& in) { return conv2d(in[0], in[1], in[2], {.pad = 1}); };
  if (op == "bilinear")
    return [H, W](const Tensors& in) { return interpolate_bilinear(in[0], H, W, true); };
  if (op == "ssi_loss")
    return [](const Tensors& in) {
      const Tensor mask = full(in[0].shape(), 1, {DType::boolean, in[0].device()});
      return mean(ssi_loss(in[0], in[1], mask, {.gradient_weight = 2}).loss);
    };
  if (op == "decoder") return [=](const Tensors& in) { return decode(*model, in, H, W); };
  if (op == "model") return [=](const Tensors& in) { return (*model)(in[0]); };
  fail("op ", op, ": unknown");
}

Contender pass_of(const Json& request, TensorOptions options) {
  const std::string op = request.at("op").get<std::string>(),
                    pass_name = request.at("pass").get<std::string>();
  const bool gradients = pass_name != "forward";
  const auto pass = std::make_shared<Pass>();
  std::shared_ptr<DepthAnything> model;
  if (op == "decoder" || op == "model") {
    model = model_of(request, options, gradients);
    if (gradients)
      pass->clear_more = [model] {
        for_each_parameter(*model,
                           [](const std::string&, Tensor& t, AxisOrder) { t.clear_grad(); });
      };
  }
  pass->op = op_of(request, model);
  for (const Json& input : request.at("inputs")) {
    Tensor leaf = read_input(input, options);
    if (gradients && input.at("gradient").get<bool>()) {
      leaf.set_requires_grad();
      pass->differentiated.push_back(pass->leaves.size());
    }
    pass->leaves.push_back(leaf);
  }
  if (gradients) pass->dy = read_input(request.at("dy"), options);
  const Work work = pass->work(pass_name);
  if (work.prepare) work.prepare();
  work.call();
  return {work, pass->result(pass_name)};
}

// A step of training on one batch: inputs image, target. The result is the first loss.
struct Step {
  std::shared_ptr<DepthAnything> model;
  Optimizer optimizer;
  DType dtype;
  Tensor image, target, mask, loss;

  void operator()() {
    const Tensor depth = (*model)(image.to(dtype)).to(DType::f32);
    loss = mean(ssi_loss(depth, target, mask, {.gradient_weight = 2}).loss);
    backward(loss);
    optimizer.accumulate(loss);
    optimizer.step(1);
    loss = loss.detach();
  }
};

Contender step_of(const Json& request, TensorOptions options) {
  const TensorOptions f32{DType::f32, options.device};
  const Json& inputs = request.at("inputs");
  const auto step =
      std::make_shared<Step>(Step{.model = model_of(request, f32, true),
                                  .optimizer = Optimizer({.bf16 = options.dtype == DType::bf16}),
                                  .dtype = options.dtype,
                                  .image = read_input(inputs.at(0), f32),
                                  .target = read_input(inputs.at(1), f32),
                                  .mask = {},
                                  .loss = {}});
  step->mask = full(step->target.shape(), 1, {DType::boolean, options.device});
  step->optimizer.add(*step->model);
  (*step)();
  return {{[step] { (*step)(); }}, on_host(step->loss)};
}

// AdamW with clipping, a moving average and rounded copies, for gradients that are there: half of
// each weight. The result is the bias of the patches after one step.
struct Update {
  std::shared_ptr<DepthAnything> model;
  Optimizer optimizer;
  Tensors parameters, gradients;
  Tensor loss;

  void prepare() {
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].clear_grad();
      backward(scale(parameters[i], 1), gradients[i]);
    }
  }
  void operator()() {
    optimizer.accumulate(loss);
    optimizer.step(1);
  }
};

Contender update_of(const Json& request, TensorOptions options) {
  const TensorOptions f32{DType::f32, options.device};
  const auto update = std::make_shared<Update>(
      Update{.model = model_of(request, f32, true),
             .optimizer = Optimizer({.lr = 1e-3,
                                     .decoder_factor = 1,
                                     .clip_norm = 1,
                                     .average_decay = 0.999,
                                     .bf16 = options.dtype == DType::bf16}),
             .parameters = {},
             .gradients = {},
             .loss = full({}, 1, f32)});
  update->optimizer.add(*update->model);
  for_each_parameter(*update->model, [&](const std::string&, Tensor& t, AxisOrder) {
    update->parameters.push_back(t);
    const NoGrad no_grad;
    update->gradients.push_back(scale(t, 0.5));
  });
  const Work work{.call = [update] { (*update)(); }, .prepare = [update] { update->prepare(); }};
  work.prepare();
  work.call();
  for (const NamedTensor& state : update->optimizer.state())
    if (state.name == "weight.pretrained.patch_embed.proj.bias")
      return {work, on_host(state.tensor)};
  fail("optimizer: the model has no pretrained.patch_embed.proj.bias");
}

}  // namespace

Contender contender_of(const Json& request, const Meter& meter) {
  const TensorOptions options{dtype_named(request.at("dtype").get<std::string>()), meter.device};
  const std::string op = request.at("op").get<std::string>();
  if (op == "train") return step_of(request, options);
  if (op == "optimizer") return update_of(request, options);
  return pass_of(request, options);
}

}  // namespace fathom::bench
