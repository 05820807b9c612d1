#include "kernels/adamw.h"

#include <cmath>
#include <limits>

#include "tests/kernels/sweeps.h"

namespace fathom {

namespace {

const AdamwStep kThird{
    .step = 3, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .grad_scale = 0.5, .average_decay = 0.75};

AdamwSlot slot(const Shape& shape, DType dtype, uint64_t seed = 1) {
  AdamwSlot s{.grad = random_tensor(shape, {dtype}, seed),
              .weight = random_tensor(shape, {dtype}, seed + 1),
              .m = random_tensor(shape, {dtype}, seed + 2),
              .v = empty(shape, {dtype}),
              .average = random_tensor(shape, {dtype}, seed + 3),
              .rounded = empty(shape, {DType::bf16}),
              .lr = 0.125,
              .decay = 0.5};
  std::vector<double> v = values(random_tensor(shape, {dtype}, seed + 4));
  for (double& x : v) x *= x;
  copy_values(from_values(shape, v, {dtype}), s.v);
  return s;
}

struct Expected {
  std::vector<double> weight, m, v, average;
};

// The definition, term by term.
Expected reference(const AdamwSlot& s, const AdamwStep& step) {
  Expected e{values(s.weight), values(s.m), values(s.v), values(s.average)};
  const std::vector<double> grad = values(s.grad);
  for (size_t i = 0; i < grad.size(); ++i) {
    const double g = step.grad_scale * grad[i];
    e.m[i] = step.beta1 * e.m[i] + (1 - step.beta1) * g;
    e.v[i] = step.beta2 * e.v[i] + (1 - step.beta2) * g * g;
    const double m_hat = e.m[i] / (1 - std::pow(step.beta1, double(step.step)));
    const double v_hat = e.v[i] / (1 - std::pow(step.beta2, double(step.step)));
    e.weight[i] -= s.lr * s.decay * e.weight[i];
    e.weight[i] -= s.lr * m_hat / (std::sqrt(v_hat) + step.eps);
    e.average[i] = step.average_decay * e.average[i] + (1 - step.average_decay) * e.weight[i];
  }
  return e;
}

}  // namespace

TEST_CASE("adamw: matches its definition") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  CAPTURE(dtype, cpu::isa());
  std::vector<AdamwSlot> slots{slot({1}, dtype), slot({3, 67}, dtype, 7), slot({40000}, dtype, 17)};
  slots[1].lr = 0.25, slots[1].decay = 0;
  std::vector<Expected> expected;
  for (const AdamwSlot& s : slots) expected.push_back(reference(s, kThird));
  adamw(slots, kThird);
  // Values of order 1 and about ten roundings of each; a step of m / sqrt(v) times 0.25 / 0.488 may
  // be as large as 0.5 |m| / (sqrt(v) + eps) where v is small: up to 500 |m|.
  const double e = epsilon(dtype);
  for (size_t i = 0; i < slots.size(); ++i) {
    CHECK(close(slots[i].m, expected[i].m, {.absolute = 8 * e, .relative = 4 * e}));
    CHECK(close(slots[i].v, expected[i].v, {.absolute = 8 * e, .relative = 4 * e}));
    CHECK(close(slots[i].weight, expected[i].weight, {.absolute = 500 * e, .relative = 16 * e}));
    CHECK(close(slots[i].average, expected[i].average, {.absolute = 500 * e, .relative = 16 * e}));
    CHECK(same_bits(slots[i].rounded, slots[i].weight.to(DType::bf16)));
  }
}

TEST_CASE("adamw: average and rounded copy may be absent") {
  std::vector<AdamwSlot> with{slot({67}, DType::f32)}, without{slot({67}, DType::f32)};
  without[0].average = without[0].rounded = {};
  adamw(with, kThird);
  adamw(without, kThird);
  CHECK(same_bits(with[0].weight, without[0].weight));
  CHECK(same_bits(with[0].v, without[0].v));
}

TEST_CASE("adamw: threads and neighbours do not change the bits") {
  CHECK(same_bits_with_any_threads([&] {
    std::vector<AdamwSlot> slots{slot({70001}, DType::f32), slot({3, 67}, DType::f32, 7)};
    adamw(slots, kThird);
    return std::vector<Tensor>{slots[0].weight, slots[0].m, slots[1].v, slots[1].average};
  }));
  std::vector<AdamwSlot> alone{slot({3, 67}, DType::f32, 7)};
  std::vector<AdamwSlot> both{slot({70001}, DType::f32), slot({3, 67}, DType::f32, 7)};
  adamw(alone, kThird);
  adamw(both, kThird);
  CHECK(same_bits(alone[0].weight, both[1].weight));
}

TEST_CASE("adamw: the sum of squares of many tensors") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  const std::vector<Tensor> tensors{random_tensor({70001}, {dtype}), random_tensor({1}, {dtype}, 2),
                                    strided_copy_of(random_tensor({3, 67}, {dtype}, 3))};
  double expected = 0;
  for (const Tensor& t : tensors)
    for (const double v : values(t)) expected += v * v;
  // 70000 additions of one sign, both here and there: sqrt(70000) roundings, generously.
  CHECK(close(sum_of_squares(tensors), std::vector<double>{expected},
              {.relative = 300 * epsilon(DType::f64)}));
  CHECK(sum_of_squares({}).item() == 0);
  CHECK(same_bits_with_any_threads([&] { return std::vector<Tensor>{sum_of_squares(tensors)}; }));
}

TEST_CASE("adamw: large gradients have a norm, those that are not finite show") {
  CHECK(sum_of_squares(std::vector{full({2}, 3e38)}).item() == 2 * std::pow(double(3e38f), 2));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(
      sum_of_squares(std::vector{full({2}, 1), from_values({9}, {1, 2, 3, 4, 5, 6, 7, 8, nan})})
          .item()));
  CHECK(std::isinf(sum_of_squares(std::vector{full({1}, -INFINITY)}).item()));
}

TEST_CASE("adamw: says what is wrong") {
  std::vector<AdamwSlot> slots{slot({3}, DType::f32)};
  CHECK_THROWS_WITH(adamw(slots, {.step = 0}), Catch::Contains("count from 1"));
  slots[0].m = zeros({4});
  CHECK_THROWS_WITH(adamw(slots, kThird), Catch::Contains("[3]") && Catch::Contains("[4]"));
  slots[0].m = zeros({3}, {DType::f64});
  CHECK_THROWS_WITH(adamw(slots, kThird), Catch::Contains("the weight is f32"));
  slots[0] = slot({3}, DType::f32);
  slots[0].rounded = zeros({3});
  CHECK_THROWS_WITH(adamw(slots, kThird), Catch::Contains("must be bf16"));
}

TEST_CASE("adamw: every device agrees with the CPU") {
  const TensorOptions options = GENERATE(from_range(test_options({DType::f32})));
  CAPTURE(options);
  std::vector<AdamwSlot> cpu{slot({3, 67}, DType::f32, 7), slot({1}, DType::f32)}, device;
  for (AdamwSlot& s : cpu) {
    device.push_back(s);
    for (Tensor AdamwSlot::*member : {&AdamwSlot::grad, &AdamwSlot::weight, &AdamwSlot::m,
                                      &AdamwSlot::v, &AdamwSlot::average, &AdamwSlot::rounded})
      device.back().*member = (s.*member).clone().to(options.device);
  }
  adamw(cpu, kThird);
  adamw(device, kThird);
  // Both round the same operations, some fused: a few half ulps of values of order 1 to 4.
  const Tolerance tolerance{.absolute = 8 * epsilon(DType::f32)};
  for (size_t i = 0; i < cpu.size(); ++i) {
    CHECK(close(device[i].weight, values(cpu[i].weight), tolerance));
    CHECK(close(device[i].m, values(cpu[i].m), tolerance));
    CHECK(close(device[i].v, values(cpu[i].v), tolerance));
    CHECK(close(device[i].average, values(cpu[i].average), tolerance));
    CHECK(same_bits(device[i].rounded, device[i].weight.to(DType::bf16)));
  }
  const std::vector<Tensor> grads{device[0].grad, device[1].grad}, on_cpu{cpu[0].grad, cpu[1].grad};
  CHECK(close(sum_of_squares(grads), values(sum_of_squares(on_cpu)),
              {.relative = 300 * epsilon(DType::f64)}));
}

}  // namespace fathom
