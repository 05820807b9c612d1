#include "kernels/conv2d.h"

#include <cmath>

#include "kernels/bilinear.h"
#include "kernels/elementwise.h"
#include "tests/kernels/plain_maps.h"
#include "tests/kernels/sweeps.h"

namespace fathom {
namespace {

Map plain_add(Map x, const Tensor& other) {
  const std::vector<double> o = values(other);
  for (size_t i = 0; i < x.v.size(); ++i) x.v[i] += o[i];
  return x;
}

// A convolution of the tests: sizes, and which options are on.
struct Case {
  const char* name;
  struct Size {
    int64_t B, H, W, I, O, kernel_h, kernel_w, stride, pad;
  } size;
  struct Options {
    bool bias = true, relu_input = false, relu = false;
    int residuals = 0;
    int64_t upsample_h = 0, upsample_w = 0;
  } on = {};

  int64_t products() const { return size.kernel_h * size.kernel_w * size.I; }
  Shape out() const {
    const Size& s = size;
    const int64_t H = on.upsample_h ? on.upsample_h : s.H, W = on.upsample_w ? on.upsample_w : s.W;
    return {s.B, (H + 2 * s.pad - s.kernel_h) / s.stride + 1,
            (W + 2 * s.pad - s.kernel_w) / s.stride + 1, s.O};
  }
  // x, weight, then what is on of bias, residual, residual2.
  Inputs inputs(TensorOptions options) const {
    const Size& s = size;
    Inputs in{random_tensor({s.B, s.H, s.W, s.I}, options),
              random_tensor({s.O, s.kernel_h, s.kernel_w, s.I}, options, 2)};
    if (on.bias) in.push_back(random_tensor({s.O}, options, 3));
    for (int i = 0; i < on.residuals; ++i)
      in.push_back(random_tensor(out(), options, uint64_t(4 + i)));
    return in;
  }
  Tensor operator()(const Inputs& in) const {
    size_t next = 2;
    const Tensor b = on.bias ? in[next++] : Tensor();
    Conv2dOptions o{.stride = size.stride,
                    .pad = size.pad,
                    .relu_input = on.relu_input,
                    .relu = on.relu,
                    .upsample_h = on.upsample_h,
                    .upsample_w = on.upsample_w};
    if (on.residuals > 0) o.residual = in[next++];
    if (on.residuals > 1) o.residual2 = in[next++];
    return conv2d(in[0], in[1], b, o);
  }
  std::vector<double> expected(const Inputs& in) const {
    size_t next = 2;
    const Tensor b = on.bias ? in[next++] : Tensor();
    Map x = map_of(in[0]);
    if (on.upsample_h) x = plain_resize(x, on.upsample_h, on.upsample_w);
    if (on.relu_input) x = plain_relu(x);
    Map y = plain_conv(x, in[1], b, size.stride, size.pad);
    if (on.relu) y = plain_relu(y);
    for (; next < in.size(); ++next) y = plain_add(y, in[next]);
    return y.v;
  }
};

const std::vector<Case> kCases{
    // Computed directly.
    {"3x3", {2, 7, 5, 5, 17, 3, 3, 1, 1}},
    {"3x3 of one pixel", {1, 1, 1, 1, 1, 3, 3, 1, 1}},
    {"3x3 of one row", {1, 1, 19, 33, 3, 3, 3, 1, 1}, {.bias = false}},
    {"3x3 of one column", {2, 19, 1, 2, 34, 3, 3, 1, 1}},
    {"3x3 relu(relu)", {2, 7, 9, 7, 19, 3, 3, 1, 1}, {.relu_input = true, .relu = true}},
    {"3x3 relu", {1, 5, 18, 16, 16, 3, 3, 1, 1}, {.bias = false, .relu = true}},
    {"3x3 residual", {2, 7, 9, 7, 7, 3, 3, 1, 1}, {.residuals = 1}},
    {"3x3 residuals", {2, 9, 7, 7, 33, 3, 3, 1, 1}, {.relu_input = true, .residuals = 2}},
    {"3x3 upsample", {2, 5, 7, 5, 17, 3, 3, 1, 1}, {.upsample_h = 11, .upsample_w = 13}},
    {"3x3 upsample relu(relu)",
     {1, 5, 3, 3, 5, 3, 3, 1, 1},
     {.relu_input = true, .relu = true, .upsample_h = 9, .upsample_w = 17}},
    {"3x3 upsample residuals",
     {1, 4, 3, 3, 5, 3, 3, 1, 1},
     {.residuals = 2, .upsample_h = 8, .upsample_w = 5}},
    {"3x3 upsample of one pixel", {1, 1, 1, 3, 5, 3, 3, 1, 1}, {.upsample_h = 3, .upsample_w = 1}},
    {"3x3 downsample", {1, 9, 11, 3, 5, 3, 3, 1, 1}, {.upsample_h = 4, .upsample_w = 1}},
    // With tensor cores on a CUDA device.
    {"3x3 of sixteens", {2, 5, 7, 16, 32, 3, 3, 1, 1}},
    {"3x3 of sixteens, residuals", {1, 5, 7, 32, 16, 3, 3, 1, 1}, {.bias = false, .residuals = 2}},
    {"3x3 of sixteens, relu(relu)",
     {1, 4, 3, 16, 16, 3, 3, 1, 1},
     {.relu_input = true, .relu = true}},
    {"3x3 of eighties", {1, 3, 5, 80, 80, 3, 3, 1, 1}, {.relu_input = true}},
    // Products of the map itself.
    {"1x1", {2, 7, 5, 35, 17, 1, 1, 1, 0}},
    {"1x1 to one channel", {1, 3, 7, 32, 1, 1, 1, 1, 0}},
    {"1x1 relu(relu)", {1, 3, 7, 9, 5, 1, 1, 1, 0}, {.relu_input = true, .relu = true}},
    {"1x1 residuals",
     {1, 3, 7, 9, 9, 1, 1, 1, 0},
     {.bias = false, .relu_input = true, .residuals = 2}},
    {"1x1 upsample",
     {2, 3, 5, 9, 5, 1, 1, 1, 0},
     {.relu_input = true, .upsample_h = 5, .upsample_w = 9}},
    // Products of columns.
    {"stride 2, odd", {2, 9, 7, 5, 17, 3, 3, 2, 1}},
    {"stride 2, even",
     {1, 8, 6, 5, 17, 3, 3, 2, 1},
     {.bias = false, .relu_input = true, .relu = true}},
    {"stride 2 of relu", {1, 7, 6, 5, 3, 3, 3, 2, 1}, {.relu_input = true}},
    {"stride 2 residuals", {1, 7, 9, 5, 3, 3, 3, 2, 1}, {.residuals = 2}},
    {"stride 2 upsample",
     {1, 4, 5, 3, 5, 3, 3, 2, 1},
     {.relu = true, .upsample_h = 7, .upsample_w = 9}},
    {"stride 14", {2, 28, 42, 3, 19, 14, 14, 14, 0}},
    {"3x3 without padding", {1, 5, 7, 3, 5, 3, 3, 1, 0}},
    {"2x2 that leaves a rest", {1, 5, 7, 3, 5, 2, 2, 2, 0}},
    {"5x2, wide padding", {1, 3, 4, 3, 5, 5, 2, 1, 4}, {.relu = true}},
    {"1x1, padded and strided", {1, 4, 5, 3, 5, 1, 1, 3, 2}},
};

// As for linear: sums of K products of normal values err by 4 K epsilon of the type to sum in, each
// residual by one addition more; then one rounding to the dtype.
//
// A resized map is rounded to the dtype before it is multiplied, on either path: K errors of
// epsilon / 2 in random directions, 4 sqrt(K) epsilon / 2 in all for the largest of many. In float
// its positions, below 16, are off by 16 epsilon, which a slope of up to 4 multiplies.
//
// A CUDA device adds the second residual in a pass of its own, after a rounding of a sum below
// 4 sqrt(K) + 8.
Tolerance tolerance_of(const Case& c, DType dtype, Device device = kCpu) {
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  const double K = double(c.products());
  Tolerance tolerance{.absolute = (4 * (K + c.on.residuals) + 4) * e, .relative = epsilon(dtype)};
  if (c.on.upsample_h) tolerance.absolute += 2 * std::sqrt(K) * (epsilon(dtype) + 64 * e);
  if (c.on.residuals == 2 && device != kCpu)
    tolerance.absolute += (2 * std::sqrt(K) + 4) * epsilon(dtype);
  return tolerance;
}

Inputs strided(const Inputs& in) {
  Inputs views;
  for (const Tensor& t : in) views.push_back(strided_copy_of(t));
  return views;
}

}  // namespace

TEST_CASE("conv2d: every option equals its step in plain loops") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  for (const Case& c : kCases) {
    CAPTURE(backend, c.name);
    const Inputs in = c.inputs(backend.options);
    const Tensor y = c(in);
    CHECK(y.shape() == c.out());
    CHECK(close(y, c.expected(in), tolerance_of(c, dtype, backend.options.device)));
    CHECK(same_bits(c(strided(in)), y));
  }
}

TEST_CASE("conv2d: gradients match central differences") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    CHECK(gradcheck([&](const Inputs& in) { return c(in); }, c.inputs({DType::f64})));
  }
}

TEST_CASE("conv2d: recording for a gradient does not change the values") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    Inputs in = c.inputs({DType::f32});
    const Tensor y = c(in);
    for (Tensor& t : in) t.set_requires_grad();
    // A resize of its own sums in another order than one on the way: see tolerance_of().
    if (c.on.upsample_h)
      CHECK(close(c(in), values(y), tolerance_of(c, DType::f32)));
    else
      CHECK(same_bits(c(in), y));
  }
}

TEST_CASE("conv2d: gradients in every type agree with f64") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  for (const Case& c : kCases) {
    if (c.on.upsample_h && c.on.relu) continue;  // a resized map's rounding opens and closes ReLUs
    CAPTURE(backend, c.name);
    const Inputs in = c.inputs(backend.options);
    Inputs exact_in;
    for (const Tensor& t : in) exact_in.push_back(t.to(kCpu).to(DType::f64));
    const auto f = [&](const Inputs& in) { return c(in); };
    const std::vector<Tensor> actual = output_and_grads(f, in);
    const std::vector<Tensor> exact = output_and_grads(f, exact_in);
    // dy is drawn in f64 and rounded to the dtype, a resized map and the columns of dx are rounded
    // once more: relative errors of epsilon in random directions in sums of K products,
    // 4 sqrt(K) epsilon; the sums themselves as in tolerance_of(). K is the number of pixels for
    // the weights, and of the kernel's entries, on every output channel, for x. A resize sums
    // several gradients a pixel, four of them or the share of the enlargement.
    const double pixels = double(c.size.B * c.out()[1] * c.out()[2]);
    const double K = std::max(pixels, double(c.size.kernel_h * c.size.kernel_w * c.size.O));
    const double enlarged =
        c.on.upsample_h
            ? std::max(4.0, double(c.on.upsample_h * c.on.upsample_w) / double(c.size.H * c.size.W))
            : 1;
    const double absolute =
        enlarged * (4 * std::sqrt(K) * epsilon(dtype) + 4 * K * epsilon(DType::f32));
    for (size_t i = 1; i < actual.size(); ++i) {
      CAPTURE(i);
      CHECK(close(actual[i], values(exact[i]), {.absolute = absolute, .relative = epsilon(dtype)}));
    }
  }
}

TEST_CASE("conv2d: a residual unit, whose input is its residual too") {
  const TensorOptions f64{DType::f64};
  const auto unit = [](const Inputs& in) {
    const Tensor inner = conv2d(in[0], in[1], in[2], {.pad = 1, .relu_input = true, .relu = true});
    return conv2d(inner, in[3], in[4], {.pad = 1, .residual = in[0], .residual2 = in[5]});
  };
  const auto plain = [](const Inputs& in) {
    const Tensor inner = relu(conv2d(relu(in[0]), in[1], in[2], {.pad = 1}));
    return add(add(conv2d(inner, in[3], in[4], {.pad = 1}), in[0]), in[5]);
  };
  const Shape map{2, 5, 3, 7};
  const Inputs in{random_tensor(map, f64),    random_tensor({7, 3, 3, 7}, f64, 2),
                  random_tensor({7}, f64, 3), random_tensor({7, 3, 3, 7}, f64, 4),
                  random_tensor({7}, f64, 5), random_tensor(map, f64, 6)};
  CHECK(gradcheck(unit, in));
  const std::vector<Tensor> fused = output_and_grads(unit, in), steps = output_and_grads(plain, in);
  // The same sums with at most two more roundings, of values below 4 * 63.
  for (size_t i = 0; i < fused.size(); ++i)
    CHECK(close(fused[i], values(steps[i]), {.absolute = 4 * 63 * epsilon(DType::f64) * 63}));

  const Inputs twice{in[0], in[1]};  // in[0] is x, residual and residual2
  CHECK(gradcheck(
      [](const Inputs& in) {
        return conv2d(in[0], in[1], {}, {.pad = 1, .residual = in[0], .residual2 = in[0]});
      },
      twice));
}

TEST_CASE("conv2d: frozen arguments get no gradient, and the others the same as ever") {
  for (const Case& c : kCases) {
    const Inputs in = c.inputs({DType::f32});
    const std::vector<Tensor> all = output_and_grads([&](const Inputs& in) { return c(in); }, in);
    for (size_t only = 0; only < in.size(); ++only) {
      CAPTURE(c.name, only);
      Inputs leaves;
      for (size_t i = 0; i < in.size(); ++i)
        leaves.push_back(in[i].detach().set_requires_grad(i == only));
      const Tensor y = c(leaves);
      backward(y, random_tensor(y.shape(), {}, 77));  // as output_and_grads
      for (size_t i = 0; i < in.size(); ++i) CHECK(leaves[i].grad().defined() == (i == only));
      CHECK(same_bits(leaves[only].grad(), all[only + 1]));
    }
  }
}

TEST_CASE("conv2d: packed weights give the same bits") {
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16, DType::f16);
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  for (const Case& c : kCases) {
    CAPTURE(cpu::isa(), dtype, c.name);
    Inputs in = c.inputs({dtype});
    const Tensor y = c(in), weight = in[1];
    in[1] = pack_conv2d(strided_copy_of(weight), c.size.stride, c.size.pad);
    CHECK(in[1].shape() == weight.shape());
    CHECK(in[1].dtype() == dtype);
    const bool stays = dtype == DType::f16 || c.size.O == 1;
    CHECK(in[1].layout() == (stays ? Layout::strided : Layout::packed));
    CHECK(same_bits(c(in), y));
  }
}

TEST_CASE("conv2d: threads do not change the bits") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const Case c = GENERATE(
      Case{"3x3", {2, 37, 41, 19, 33, 3, 3, 1, 1}, {.relu_input = true, .relu = true}},
      Case{"3x3 residuals", {2, 37, 41, 19, 33, 3, 3, 1, 1}, {.residuals = 2}},
      Case{"3x3 upsample", {1, 19, 37, 19, 33, 3, 3, 1, 1}, {.upsample_h = 37, .upsample_w = 41}},
      Case{"1x1", {2, 37, 41, 35, 33, 1, 1, 1, 0}},
      Case{"stride 2", {2, 37, 41, 19, 33, 3, 3, 2, 1}});
  CAPTURE(dtype, c.name);
  const Inputs in = c.inputs({dtype});
  CHECK(same_bits_with_any_threads([&] {
    std::vector<Tensor> results = output_and_grads([&](const Inputs& in) { return c(in); }, in);
    results.push_back(c(in));  // without a tape, where more is fused
    return results;
  }));
}

TEST_CASE("conv2d: says what is wrong") {
  const Tensor x = full({1, 5, 7, 3}, 1), weight = full({2, 3, 3, 3}, 1), bias = full({2}, 1);
  const Tensor y = full({1, 5, 7, 2}, 1);
  CHECK_THROWS_WITH(conv2d(full({5, 7, 3}, 1), weight, bias),
                    Catch::Contains("x must be [B, H, W, I], got [5, 7, 3]"));
  CHECK_THROWS_WITH(conv2d(x, full({2, 3}, 1), bias), Catch::Contains("weight [O, kh, kw, I]"));
  CHECK_THROWS_WITH(conv2d(x, full({2, 3, 3, 4}, 1), bias),
                    Catch::Contains("weight [2, 3, 3, 4] does not fit x [1, 5, 7, 3]"));
  CHECK_THROWS_WITH(conv2d(x, weight, full({3}, 1)),
                    Catch::Contains("bias must be [2], but is [3]"));
  CHECK_THROWS_WITH(conv2d(x, weight, bias, {.stride = 0}), Catch::Contains("stride 0 and pad 0"));
  CHECK_THROWS_WITH(conv2d(x, weight, bias, {.pad = -1}), Catch::Contains("stride 1 and pad -1"));
  CHECK_THROWS_WITH(conv2d(x, full({2, 7, 7, 3}, 1), bias),
                    Catch::Contains("larger than the padded"));
  CHECK_THROWS_WITH(conv2d(x, weight, bias, {.pad = 1, .relu = true, .residual = y}),
                    Catch::Contains("relu and residual cannot be fused"));
  CHECK_THROWS_WITH(conv2d(x, weight, bias, {.pad = 1, .residual2 = y}),
                    Catch::Contains("residual2 needs a first residual"));
  CHECK_THROWS_WITH(conv2d(x, weight, bias, {.residual = y}),
                    Catch::Contains("residual must be [1, 3, 5, 2], but is [1, 5, 7, 2]"));
  CHECK_THROWS_WITH(conv2d(x, weight, bias, {.pad = 1, .residual = y.to(DType::bf16)}),
                    Catch::Contains("share dtype"));
  CHECK_THROWS_WITH(conv2d(x, weight.to(DType::bf16), bias), Catch::Contains("share dtype"));
  for (const int64_t size : {1, 3}) {  // the direct path and the others
    const Tensor kernel = full({2, size, size, 3}, 1);
    const int64_t pad = size / 2;
    for (const auto& [h, w] : {std::pair{5, 0}, {0, 5}, {-1, 5}, {-1, -1}}) {
      CAPTURE(size, h, w);
      CHECK_THROWS_WITH(conv2d(x, kernel, bias, {.pad = pad, .upsample_h = h, .upsample_w = w}),
                        Catch::Contains("upsample_h and upsample_w"));
    }
  }
  CHECK_THROWS_WITH(pack_conv2d(full({2, 3}, 1), 1, 0),
                    Catch::Contains("weight must be [O, kh, kw, I]"));
}

// A packed weight has no backward pass; a gradient that silently stopped there would be wrong.
TEST_CASE("conv2d: packed weights refuse gradients") {
  const int64_t size = GENERATE(1, 3), pad = size / 2;
  const auto leaf = [](const Shape& shape) { return full(shape, 1).set_requires_grad(); };
  const Tensor x = full({1, 5, 7, 3}, 1), packed = pack_conv2d(full({2, size, size, 3}, 1), 1, pad);
  const auto refuses = Catch::Contains("packed weights have no gradients");
  CHECK_THROWS_WITH(conv2d(leaf({1, 5, 7, 3}), packed, {}, {.pad = pad}), refuses);
  CHECK_THROWS_WITH(conv2d(x, packed, leaf({2}), {.pad = pad}), refuses);
  CHECK_THROWS_WITH(conv2d(x, packed, {}, {.pad = pad, .residual = leaf({1, 5, 7, 2})}), refuses);
  const NoGrad no_grad;
  CHECK_NOTHROW(conv2d(leaf({1, 5, 7, 3}), packed, leaf({2}), {.pad = pad}));
}

}  // namespace fathom
