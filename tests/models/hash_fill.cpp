#include "tests/models/hash_fill.h"

#include <cmath>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/strided_copy.h"

namespace fathom {

static uint32_t fnv1a(std::string_view text) {
  uint32_t h = 2166136261u;
  for (const char c : text) h = (h ^ uint8_t(c)) * 16777619u;
  return h;
}

static double value_of(uint32_t seed, uint64_t j) {
  uint32_t h = seed ^ uint32_t(j * 0x9E3779B1u);
  h ^= h >> 16;
  h *= 0x7feb352du;
  h ^= h >> 15;
  h *= 0x846ca68bu;
  h ^= h >> 16;
  return double(h) / 4294967296.0 * 2 - 1;
}

double hash_value(std::string_view name, uint64_t j) { return value_of(fnv1a(name), j); }

// value = centre + amplitude * v
struct Fill {
  double centre, amplitude;
};

static Fill fill_of(std::string_view name, const Shape& published, double tail_bias) {
  if (name.ends_with("norm1.weight") || name.ends_with("norm2.weight") ||
      name.ends_with("norm.weight"))
    return {1, 0.1};
  if (name.ends_with(".gamma")) return {0.5, 0.1};
  if (name.ends_with("pos_embed") || name.ends_with("cls_token") || name.ends_with("mask_token"))
    return {0, 0.5};
  if (name.ends_with("output_conv2.2.bias")) return {tail_bias, 0.1};
  if (name.ends_with(".bias")) return {0, 0.1};
  const bool transposed = name.find("resize_layers.0") != std::string_view::npos ||
                          name.find("resize_layers.1") != std::string_view::npos;
  const int64_t fan = transposed ? published[0] : published.numel() / published[0];
  return {0, std::sqrt(3.0 / double(fan))};
}

void fill_with_hash(DepthAnything& model, double tail_bias) {
  const NoGrad no_grad;
  for_each_parameter(model, [&](const std::string& name, Tensor& t, AxisOrder order) {
    Tensor view = published_view(t, order);
    const Fill fill = fill_of(name, view.shape(), tail_bias);
    const uint32_t seed = fnv1a(name);
    Tensor values = empty(view.shape(), {DType::f32});
    float* data = values.data<float>();
    parallel_for(values.numel(), 1 << 14, [=](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j)
        data[j] = float(fill.centre + fill.amplitude * value_of(seed, uint64_t(j)));
    });
    strided_copy(values, view);
  });
}

Tensor hash_input(int64_t H, int64_t W, DType dtype) {
  Tensor image = empty({1, H, W, 3});
  float* data = image.data<float>();
  const uint32_t seed = fnv1a("input");
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t p = 0; p < H * W; ++p)
      data[p * 3 + c] = float(2 * value_of(seed, uint64_t(c * H * W + p)));
  return image.to(dtype);
}

Tensor hash_loss_weights(const Shape& shape) {
  Tensor r = empty(shape);
  float* data = r.data<float>();
  const uint32_t seed = fnv1a("loss");
  for (int64_t j = 0; j < r.numel(); ++j) data[j] = float(value_of(seed, uint64_t(j)));
  return r;
}

}  // namespace fathom
