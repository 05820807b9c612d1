// What tests of kernels share. They use nothing of gpu::host unless FATHOM_KERNEL_HOST is defined,
// so that the same files build with nvcc and run on a device.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "core/gpu.h"
#include "tests/testing.h"

namespace fathom {

/// Device memory that holds a copy of a vector, or poison. Bounds are checked on the kernel host.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count)
      : count_(count), data_(static_cast<T*>(gpu::allocate(count * sizeof(T), sizeof(T)))) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    gpu::copy_in(data_, values.data(), count_ * sizeof(T));
  }
  ~DeviceArray() { gpu::release(data_); }
  DeviceArray(const DeviceArray&) = delete;
  operator T*() const { return data_; }
  std::vector<T> get() const {
    std::vector<T> values(count_);
    gpu::copy_out(values.data(), data_, count_ * sizeof(T));
    return values;
  }

 private:
  size_t count_;
  T* data_;
};

/// Normal values rounded to T, the same in every run.
template <class T>
std::vector<T> normal(size_t count, unsigned seed, double scale = 1.0) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> distribution;
  std::vector<T> values(count);
  for (T& x : values) x = cast<T>(static_cast<float>(scale * distribution(rng)));
  return values;
}

/// The values in double.
template <class T>
std::vector<double> widened(const std::vector<T>& values) {
  std::vector<double> wide;
  wide.reserve(values.size());
  for (const T& x : values) wide.push_back(cast<double>(x));
  return wide;
}

/// The same values as a tensor on the CPU, for the op that the kernel stands behind.
template <class T>
Tensor tensor_of(const Shape& shape, const std::vector<T>& values) {
  return from_values(shape, widened(values), {dtype_of<T>()});
}

/// Bounds for the comparison with the CPU's result: each is off by at most its own.
inline std::vector<double> twice(std::vector<double> allowed) {
  for (double& a : allowed) a *= 2;
  return allowed;
}

/// |x - expected| <= allowed, element by element; a NaN is close to a NaN only. The reason names
/// the element that exceeds its bound most.
template <class T>
Verdict within(const std::vector<T>& x, const std::vector<double>& expected,
               const std::vector<double>& allowed) {
  std::ostringstream reason;
  if (x.size() != expected.size() || x.size() != allowed.size()) {
    reason << x.size() << " values, expected " << expected.size();
    return {false, reason.str()};
  }
  double worst = 1;
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = cast<double>(x[i]), error = std::abs(value - expected[i]);
    if (std::isnan(value) && std::isnan(expected[i])) continue;
    if (value == expected[i]) continue;  // infinities among them
    const double share = std::isnan(error) ? INFINITY : error / allowed[i];
    if (share <= worst) continue;
    worst = share;
    reason.str("");
    reason << "wrong value at " << i << " of " << x.size() << ": " << value << ", expected "
           << expected[i] << ", allowed error " << allowed[i];
  }
  return {worst <= 1, reason.str()};
}

/// Half an ulp at 1 of the type: the relative error of one rounding.
template <class T>
double rounding() {
  return 0.5 * epsilon(dtype_of<T>());
}

/// Runs a test under several schedules (once on a device); a failing check prints which.
template <class Body>
void under_schedules(int random_seeds, Body body) {
  gpu::under_schedules(random_seeds, [&] {
    INFO("schedule: " << gpu::schedule());
    body();
  });
}

#if defined(FATHOM_KERNEL_HOST)

/// What the launch throws; empty if nothing.
template <class... P>
std::string error_of(void (*kernel)(P...), unsigned grid, dim3 block, size_t shared,
                     std::type_identity_t<P>... args) {
  try {
    gpu::launch(kernel, grid, block, shared, nullptr, args...);
  } catch (const gpu::KernelError& e) {
    return e.what();
  }
  return {};
}

/// The kernel must fail with a message that contains `text`, under every schedule.
template <class... P>
void expect_error(const char* text, void (*kernel)(P...), unsigned grid, dim3 block, size_t shared,
                  std::type_identity_t<P>... args) {
  under_schedules(2, [&] {
    CHECK_THAT(error_of(kernel, grid, block, shared, args...), Catch::Contains(text));
  });
}

#endif

}  // namespace fathom
