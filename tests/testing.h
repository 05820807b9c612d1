#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/autograd.h"
#include "core/random.h"
#include "core/tensor.h"

namespace fathom {

/// Devices that this machine and build can run tests on.
std::vector<Device> test_devices();

/// The dtypes on every one of those devices; without f64 on a CUDA device, whose kernels do not
/// compute in it. For GENERATE(from_range(test_options({DType::f64, DType::f32}))).
std::vector<TensorOptions> test_options(std::initializer_list<DType> dtypes);
std::ostream& operator<<(std::ostream& out, const TensorOptions& options);

/// Normal values, the same in every run for the same shape and seed.
Tensor random_tensor(const Shape& shape, TensorOptions options = {}, uint64_t seed = 1);

/// The same values behind gaps: a view of every other element along the last axis of a larger
/// tensor, hence not contiguous.
Tensor strided_copy_of(const Tensor& x);

/// All elements in row-major order.
std::vector<double> values(const Tensor& x);

/// |x - expected| <= absolute + relative * |expected|, element by element.
struct Tolerance {
  double absolute = 0;
  double relative = 0;
};

/// A verdict that prints its reason when a CHECK of it fails.
struct Verdict {
  bool good = true;
  std::string reason;
  explicit operator bool() const { return good; }
};
std::ostream& operator<<(std::ostream& out, const Verdict& verdict);

/// Compares with the tolerance; a NaN is close to a NaN only. The reason names the worst element.
Verdict close(const Tensor& x, std::span<const double> expected, Tolerance tolerance);

/// Same shape, dtype and bits.
Verdict same_bits(const Tensor& a, const Tensor& b);

using Inputs = std::vector<Tensor>;

/// Compares the gradients of sum(f(inputs) * r), r random, with central differences. f64 inputs.
/// Error model: truncation h^2 * |f'''| and rounding epsilon / h, h = 1e-5: 1e-8 of the values'
/// scale is expected, 1e-6 allowed.
Verdict gradcheck(const std::function<Tensor(const Inputs&)>& f, Inputs inputs,
                  double allowed = 1e-6);

/// Folder of the large test data that is not part of the project (FATHOM_SHARED_DATA), or empty
/// with a note on stderr when it is not there.
std::filesystem::path shared_data();

}  // namespace fathom
