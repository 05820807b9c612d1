#include "kernels/cuda/adamw.h"

#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

// One tensor and its state, on the device.
struct Slot {
  std::vector<float> grad, weight, m, v, average;
  Slot(size_t N, unsigned seed)
      : grad(normal<float>(N, seed)),
        weight(normal<float>(N, seed + 1)),
        m(normal<float>(N, seed + 2)),
        v(normal<float>(N, seed + 3)),
        average(normal<float>(N, seed + 4)) {
    for (float& x : v) x *= x;
  }
};

}  // namespace

TEST_CASE("cuda adamw: matches its definition for many tensors") {
  const bool extras = GENERATE(true, false);     // an average and a rounded copy
  const int64_t skip = GENERATE(0, 1);           // aligned or not
  const bool on_device = GENERATE(true, false);  // where the step's numbers are
  CAPTURE(extras, skip, on_device);
  const cuda::AdamwConstants f{.m_rate = 0.25f, .v_keep = 0.875f, .v_rate = 0.125f, .eps = 1e-3f};
  const AdamwNumbers numbers{.lr_factor = 0.25,
                             .grad_scale = 0.5,
                             .bias = 0.5,
                             .root = 0.75,
                             .average_rate = 0.125};  // so rates are 0.125, and 0.75 is kept
  std::vector<Slot> slots;  // more than a launch holds, one of several blocks
  for (int i = 0; i < 35; ++i) slots.emplace_back(i == 33 ? 4096 + 17 : 1 + i % 9, 10 * i);
  under_schedules(0, [&] {
    std::vector<std::unique_ptr<DeviceArray<float>>> arrays;
    std::vector<std::unique_ptr<DeviceArray<bfloat16>>> halves;
    std::vector<cuda::AdamwTensor> tensors;
    const auto upload = [&](const std::vector<float>& values) {
      std::vector<float> shifted(skip);
      shifted.insert(shifted.end(), values.begin(), values.end());
      arrays.push_back(std::make_unique<DeviceArray<float>>(shifted));
      return *arrays.back() + skip;
    };
    for (const Slot& s : slots) {
      halves.push_back(std::make_unique<DeviceArray<bfloat16>>(s.grad.size()));
      tensors.push_back({.grad = upload(s.grad),
                         .weight = upload(s.weight),
                         .m = upload(s.m),
                         .v = upload(s.v),
                         .average = extras ? upload(s.average) : nullptr,
                         .rounded = extras ? +*halves.back() : nullptr,
                         .numel = int64_t(s.grad.size()),
                         .lr = 0.25f,
                         .decay = 4});
    }
    const DeviceArray<AdamwNumbers> there(std::vector{numbers, AdamwNumbers{.taken = 0}});
    cuda::adamw(nullptr, f, numbers, there + 1, tensors);  // which writes nothing
    cuda::adamw(nullptr, f, on_device ? AdamwNumbers{} : numbers, on_device ? +there : nullptr,
                tensors);
    const double u = rounding<float>();
    const size_t per_slot = extras ? 5 : 4;
    for (size_t i = 0; i < slots.size(); ++i) {
      const Slot& s = slots[i];
      std::vector<double> weight, m, v, average, weight_allowed, m_allowed, v_allowed;
      for (size_t k = 0; k < s.grad.size(); ++k) {
        const double g = 0.5 * double(s.grad[k]);
        m.push_back(double(s.m[k]) + 0.25 * (g - double(s.m[k])));
        v.push_back(0.875 * double(s.v[k]) + 0.125 * g * g);
        const double root = std::sqrt(v[k]) / 0.75 + double(1e-3f), step = 0.125 * m[k] / root;
        weight.push_back(0.75 * double(s.weight[k]) - step);
        average.push_back(double(s.average[k]) + 0.125 * (weight[k] - double(s.average[k])));
        // Each of up to eight operations rounds once, relative to its larger operand.
        m_allowed.push_back(4 * u * (std::abs(double(s.m[k])) + std::abs(g)));
        v_allowed.push_back(4 * u * v[k] + 1e-40);
        weight_allowed.push_back(4 * u * std::abs(double(s.weight[k])) +
                                 m_allowed[k] * 0.125 / root + 8 * u * std::abs(step) +
                                 2 * u * std::abs(weight[k]));
      }
      const auto tail = [&](size_t which) {
        std::vector<float> values = arrays[i * per_slot + which]->get();
        values.erase(values.begin(), values.begin() + skip);
        return values;
      };
      REQUIRE(within(tail(1), weight, weight_allowed));
      REQUIRE(within(tail(2), m, m_allowed));
      REQUIRE(within(tail(3), v, v_allowed));
      if (!extras) continue;
      std::vector<double> allowed;
      for (size_t k = 0; k < average.size(); ++k)
        allowed.push_back(weight_allowed[k] + 4 * u * (std::abs(double(s.average[k])) + 1));
      REQUIRE(within(tail(4), average, allowed));
      std::vector<double> once, exact = widened(tail(1));
      for (const double w : exact) once.push_back(std::abs(w) * rounding<bfloat16>());
      REQUIRE(within(halves[i]->get(), exact, once));
    }
  });
}

TEST_CASE("cuda adamw: the sum of squares of many arrays") {
  std::vector<std::vector<float>> host;
  double expected = 0;
  for (int i = 0; i < 131; ++i)
    host.push_back(normal<float>(i == 130 ? 2 * 4096 + 5 : 1 + i % 5, i));
  for (const auto& array : host)
    for (const float x : array) expected += double(x) * double(x);
  std::vector<double> first;
  under_schedules(1, [&] {
    std::vector<std::unique_ptr<DeviceArray<float>>> device;
    std::vector<cuda::FloatArray> arrays;
    for (const auto& values : host) {
      device.push_back(std::make_unique<DeviceArray<float>>(values));
      arrays.push_back({*device.back(), int64_t(values.size())});
    }
    DeviceArray<double> workspace(size_t(cuda::sum_of_squares_workspace(arrays))), y(1);
    cuda::sum_of_squares(nullptr, arrays, workspace, y);
    CHECK(within(y.get(), {expected}, {expected * 1e-13}));
    if (first.empty()) first = y.get();
    CHECK(y.get() == first);  // the bits do not depend on the schedule
  });
}

}  // namespace fathom
