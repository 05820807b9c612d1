#include "tests/testing.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>

#include "core/cuda.h"
#include "core/strided_copy.h"

namespace fathom {

std::vector<Device> test_devices() {
  std::vector<Device> devices{kCpu};
  if (!cuda_devices().empty()) devices.push_back({Device::Type::cuda, 0});
  return devices;
}

std::vector<TensorOptions> test_options(std::initializer_list<DType> dtypes) {
  std::vector<TensorOptions> options;
  for (const Device device : test_devices())
    for (const DType dtype : dtypes)
      if (device.type == Device::Type::cpu || dtype != DType::f64)
        options.push_back({dtype, device});
  return options;
}

std::ostream& operator<<(std::ostream& out, const TensorOptions& options) {
  return out << options.dtype << " on " << options.device;
}

Tensor random_tensor(const Shape& shape, TensorOptions options, uint64_t seed) {
  Generator generator{seed};
  return normal(shape, generator, 0, 1, options);
}

Tensor strided_copy_of(const Tensor& x) {
  Shape wide(std::span<const int64_t>(x.shape().begin(), x.shape().end()));
  wide.push_back(2);
  Tensor gaps = full(wide, -77, x.options());
  Strides strides;
  for (int i = 0; i < x.rank(); ++i) strides.push_back(gaps.strides()[i]);
  Tensor view = Tensor::over(gaps.storage(), x.shape(), strides, 1, x.dtype());
  strided_copy(x, view);
  return view;
}

std::vector<double> values(const Tensor& x) {
  const Tensor c = x.detach().to(kCpu).contiguous();
  std::vector<double> result(size_t(c.numel()));
  visit_any(c.dtype(), [&]<class T>(Tag<T>) {
    const T* data = c.data<T>();
    for (size_t i = 0; i < result.size(); ++i) result[i] = cast<double>(data[i]);
  });
  return result;
}

std::ostream& operator<<(std::ostream& out, const Verdict& verdict) {
  return out << (verdict.good ? "close" : verdict.reason);
}

Verdict close(const Tensor& x, std::span<const double> expected, Tolerance tolerance) {
  const std::vector<double> actual = values(x);
  std::ostringstream reason;
  reason.precision(9);
  if (actual.size() != expected.size()) {
    reason << actual.size() << " elements, expected " << expected.size();
    return {false, reason.str()};
  }
  double worst = 0;
  size_t where = 0, wrong = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i] || (std::isnan(actual[i]) && std::isnan(expected[i]))) continue;
    const double bound = tolerance.absolute + tolerance.relative * std::fabs(expected[i]);
    const double excess = std::fabs(actual[i] - expected[i]) / bound;
    if (excess <= 1) continue;
    ++wrong;
    if (excess > worst || !(excess == excess)) worst = excess, where = i;
  }
  if (!wrong) return {};
  reason << wrong << " of " << actual.size() << " elements differ; worst at " << where << " of "
         << x.shape() << ": " << actual[where] << ", expected " << expected[where] << ", " << worst
         << " times the tolerance";
  return {false, reason.str()};
}

Verdict same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return {false, "shape or dtype differs"};
  const Tensor ca = a.detach().to(kCpu).contiguous(), cb = b.detach().to(kCpu).contiguous();
  const std::byte* pa = ca.storage()->data() + ca.offset() * size_of(ca.dtype());
  const std::byte* pb = cb.storage()->data() + cb.offset() * size_of(cb.dtype());
  if (std::memcmp(pa, pb, size_t(ca.bytes())) == 0) return {};
  return {false, "bits differ: " + close(a, values(b), {}).reason};
}

Verdict gradcheck(const std::function<Tensor(const Inputs&)>& f, Inputs inputs, double allowed) {
  constexpr double kStep = 1e-5;
  for (Tensor& input : inputs) {
    check(input.dtype() == DType::f64, "gradcheck: inputs must be f64");
    input = input.detach().set_requires_grad();  // the caller's may hold gradients already
  }
  const Tensor y = f(inputs);
  const Tensor r = random_tensor(y.shape(), y.options(), 99);
  const std::vector<double> weights = values(r);
  const auto loss = [&] {
    const NoGrad no_grad;
    const std::vector<double> out = values(f(inputs));
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += out[i] * weights[i];
    return sum;
  };
  backward(y, r);
  for (size_t k = 0; k < inputs.size(); ++k) {
    Tensor& input = inputs[k];
    if (!input.grad().defined()) return {false, "input " + std::to_string(k) + " got no gradient"};
    const std::vector<double> analytic = values(input.grad());
    check(input.is_contiguous(), "gradcheck: inputs must be contiguous");
    double* data = input.data<double>();
    double scale = 1;
    for (const double g : analytic) scale = std::max(scale, std::fabs(g));
    // Large inputs are sampled: every element of small ones, 200 spread ones otherwise.
    const size_t n = analytic.size(), stride = n <= 200 ? 1 : n / 200;
    for (size_t i = 0; i < n; i += stride) {
      const double saved = data[i];
      data[i] = saved + kStep;
      const double above = loss();
      data[i] = saved - kStep;
      const double below = loss();
      data[i] = saved;
      const double numeric = (above - below) / (2 * kStep);
      if (std::fabs(numeric - analytic[i]) <= allowed * scale) continue;
      std::ostringstream reason;
      reason.precision(10);
      reason << "input " << k << ", element " << i << " of " << input.shape() << ": gradient "
             << analytic[i] << ", central difference " << numeric;
      return {false, reason.str()};
    }
  }
  return {};
}

std::filesystem::path shared_data() {
  static const std::filesystem::path folder = [] {
    const char* asked = std::getenv("FATHOM_SHARED_DATA");
    const std::filesystem::path path =
        asked && *asked ? std::filesystem::path(asked)
                        : std::filesystem::path(FATHOM_TEST_DATA) / "../../../shared/data";
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) return path;
    std::cerr << "note: no shared data at " << path << "; tests that need it are skipped\n";
    return std::filesystem::path();
  }();
  return folder;
}

}  // namespace fathom
