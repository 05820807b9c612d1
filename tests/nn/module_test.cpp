#include "nn/module.h"

#include "nn/conv2d.h"
#include "nn/conv_transpose2d.h"
#include "nn/linear.h"
#include "tests/testing.h"

namespace fathom {
namespace {

// One of everything a module may hold.
struct Wide {
  Linear a, b;
  static void parts(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("b", self.b);
  }
};

struct Everything {
  Tensor token = zeros({1, 3}), absent;
  Conv2d conv{5, 2, {.kernel = 3, .bias = false}};
  ConvTranspose2d up{7, 4, 2};
  std::vector<Linear> layers{Linear(3, 2), Linear(2, 1)};
  std::variant<Linear, Wide> either;

  static void parts(auto& self, auto&& visit) {
    visit("token", self.token);
    visit("absent", self.absent);
    visit("conv", self.conv);
    visit("up", self.up);
    visit("layers", self.layers);
    visit("either", self.either);
  }
};

struct Seen {
  std::string name;
  Shape shape;
  AxisOrder order;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> seen_in(auto& module) {
  std::vector<Seen> seen;
  for_each_parameter(module, [&](const std::string& name, auto& tensor, AxisOrder order) {
    seen.push_back({name, tensor.shape(), order});
  });
  return seen;
}

// 100 * i + 10 * j + ... for every index: an element tells where it is.
Tensor digits(const Shape& shape) {
  std::vector<double> v;
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < shape[1]; ++j)
      for (int64_t k = 0; k < shape[2]; ++k)
        for (int64_t l = 0; l < shape[3]; ++l) v.push_back(double(1000 * i + 100 * j + 10 * k + l));
  return from_values(shape, v);
}

}  // namespace

TEST_CASE("module: names, shapes and axis orders, in the order of the lists") {
  using enum AxisOrder;
  Everything module;
  const std::vector<Seen> expected{{"token", {1, 3}, as_published},
                                   {"conv.weight", {2, 3, 3, 5}, conv},
                                   {"up.weight", {2, 2, 4, 7}, conv_transpose},
                                   {"up.bias", {4}, as_published},
                                   {"layers.0.weight", {2, 3}, as_published},
                                   {"layers.0.bias", {2}, as_published},
                                   {"layers.1.weight", {1, 2}, as_published},
                                   {"layers.1.bias", {1}, as_published}};
  CHECK(seen_in(module) == expected);  // the empty Linear of the variant has no tensors
  const Everything& constant = module;
  CHECK(seen_in(constant) == expected);

  Linear leaf(3, 2);
  CHECK(seen_in(leaf) ==
        std::vector<Seen>{{"weight", {2, 3}, as_published}, {"bias", {2}, as_published}});
}

TEST_CASE("module: a variant has the parts of what it holds, without a name of its own") {
  using enum AxisOrder;
  Everything module;
  module.token = {}, module.conv = {}, module.up = {}, module.layers.clear();
  module.either = Linear(3, 2);
  CHECK(seen_in(module) == std::vector<Seen>{{"either.weight", {2, 3}, as_published},
                                             {"either.bias", {2}, as_published}});
  module.either = Wide{Linear(3, 2), {}};
  CHECK(seen_in(module) == std::vector<Seen>{{"either.a.weight", {2, 3}, as_published},
                                             {"either.a.bias", {2}, as_published}});
}

TEST_CASE("module: for_each_module visits parents first, with their paths") {
  Everything module;
  module.either = Wide{};
  std::vector<std::string> paths;
  for_each_module(module, [&](const std::string& path, auto&) { paths.push_back(path); });
  CHECK(paths == std::vector<std::string>{"", "conv", "up", "layers.0", "layers.1", "either",
                                          "either.a", "either.b"});
}

TEST_CASE("module: parameters are handed out to be replaced") {
  Everything module;
  for_each_parameter(module,
                     [](const std::string&, Tensor& t, AxisOrder) { t = full(t.shape(), 7); });
  CHECK(values(module.layers[1].bias) == std::vector<double>{7});
  CHECK(values(module.token) == std::vector<double>{7, 7, 7});
}

TEST_CASE("module: parameter_count and require_grad see every parameter") {
  Everything module;
  module.either = Wide{Linear(3, 2), Linear(5, 1)};
  // token, conv without bias, up, layers, either.
  CHECK(parameter_count(module) == 3 + 90 + (112 + 4) + (6 + 2 + 2 + 1) + (6 + 2 + 5 + 1));
  const auto count_leaves = [&] {
    int64_t leaves = 0;
    for_each_parameter(module, [&](const std::string&, const Tensor& t, AxisOrder) {
      leaves += t.requires_grad();
    });
    return leaves;
  };
  CHECK(count_leaves() == 0);
  require_grad(module);
  CHECK(count_leaves() == 12);
  require_grad(module, false);
  CHECK(count_leaves() == 0);
}

TEST_CASE("module: published_view shows the published order of axes, and shares storage") {
  const Tensor memory = digits({2, 3, 4, 5});
  CHECK(same_bits(published_view(memory, AxisOrder::as_published), memory));

  const auto published = [&](AxisOrder order, auto where) {
    const Tensor view = published_view(memory, order);
    CHECK(view.storage() == memory.storage());
    const std::vector<double> v = values(view);
    size_t at = 0;
    for (int64_t a = 0; a < view.dim(0); ++a)
      for (int64_t b = 0; b < view.dim(1); ++b)
        for (int64_t c = 0; c < view.dim(2); ++c)
          for (int64_t d = 0; d < view.dim(3); ++d) CHECK(v[at++] == where(a, b, c, d));
    return view.shape();
  };
  // published[o, i, ky, kx] = memory[o, ky, kx, i]
  CHECK(published(AxisOrder::conv, [](int64_t o, int64_t i, int64_t ky, int64_t kx) {
          return double(1000 * o + 100 * ky + 10 * kx + i);
        }) == Shape{2, 5, 3, 4});
  // published[i, o, ky, kx] = memory[ky, kx, o, i]
  CHECK(published(AxisOrder::conv_transpose, [](int64_t i, int64_t o, int64_t ky, int64_t kx) {
          return double(1000 * ky + 100 * kx + 10 * o + i);
        }) == Shape{5, 4, 2, 3});
}

TEST_CASE("module: move_to moves every parameter, and leaves stay leaves") {
  for (const Device device : test_devices()) {
    CAPTURE(device);
    Linear linear(3, 2);
    const NoGrad no_grad;
    copy_values(random_tensor({2, 3}), linear.weight);
    copy_values(random_tensor({2}), linear.bias);
    linear.weight.set_requires_grad();
    const std::vector<double> before = values(linear.weight);
    move_to(linear, device);
    CHECK(linear.weight.device() == device);
    CHECK(linear.bias.device() == device);
    CHECK(linear.weight.requires_grad());
    CHECK_FALSE(linear.bias.requires_grad());
    CHECK(values(linear.weight) == before);
  }
}

}  // namespace fathom
