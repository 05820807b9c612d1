#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "models/depth_anything.h"

namespace fathom::bench {

using Tensors = std::vector<Tensor>;

/// The least that a machine has to do for one call: useful operations only, every operand read
/// once and every result written once.
struct Cost {
  double flops = 0;   // two for each multiply-add
  double values = 0;  // elements of the case's dtype that are read or written
  double bytes = 0;   // what is moved whatever the dtype

  double bytes_of(DType dtype) const { return values * double(size_of(dtype)) + bytes; }
  bool none() const { return flops == 0 && values == 0 && bytes == 0; }
};

/// How far a right result may be from the double-precision one, as the root mean square of the
/// difference over that of the result. Rounding errors are independent, so they add up like a
/// random walk; u is half an epsilon.
struct Accuracy {
  int64_t terms = 1;  // of the longest sum behind a result: 2 sqrt(terms) u of the type summed in
  double roundings = 3;   // to the case's dtype on the way to a result: roundings * u of the dtype
  int64_t positions = 0;  // largest coordinate that is computed in f32: 4 positions u of f32
  /// A gradient passes where a computed value is positive. A value within its own error of zero,
  /// a share of 2 sqrt(terms) u of them, may fall on the other side: plus the root of that share.
  bool masked = false;

  double bound(DType dtype) const;
};

/// One op at one size, stated once for every dtype, device and direction.
struct Case {
  std::string size;           // "S/518x518/b1"
  std::vector<Shape> inputs;  // of random values that bf16 holds exactly
  std::function<Tensor(const Tensors&)> op;
  Cost forward;
  Cost backward = {};  // none: the case has no backward row
  Accuracy accuracy = {};
  std::vector<size_t> constants = {};       // inputs that need no gradient
  std::function<void(Tensors&)> pack = {};  // what inference does to its weights beforehand
  std::vector<DType> dtypes = {DType::f32, DType::bf16};
  bool positive = false;        // inputs are uniform from 0.1 to 1, not normal
  bool changes_inputs = false;  // a second call has another result
  bool cpu_only = false;        // a loop of the CPU backend, not an op
};

/// A model at one input size, whose layers a bench takes its shapes from.
struct Setting {
  DepthAnythingConfig model;
  std::string letter;     // "S"
  int64_t height, width;  // of the network's input, in pixels
  int64_t batch;

  std::string size() const;  // "S/518x518/b1"
  int64_t grid_h() const { return height / model.encoder.patch; }
  int64_t grid_w() const { return width / model.encoder.patch; }
  int64_t patches() const { return grid_h() * grid_w(); }
  int64_t tokens() const { return 1 + patches(); }
  /// The four maps of the decoder, finest first: 4, 2, 1 and 1/2 times the patch grid.
  int64_t level_h(int level) const;
  int64_t level_w(int level) const;
};

/// What the body of an entry reports its cases to.
class Run {
 public:
  Run(std::vector<Setting> settings, std::function<void(const Case&)> take)
      : settings_(std::move(settings)), take_(std::move(take)) {}
  /// Every model at every input size.
  const std::vector<Setting>& settings() const { return settings_; }
  /// One setting for each input size, for ops whose shapes hardly depend on the model: the first.
  std::vector<Setting> images() const;
  void operator()(const Case& measured) { take_(measured); }

 private:
  std::vector<Setting> settings_;
  std::function<void(const Case&)> take_;
};

/// Registers the bench of an op before main: static const Entry entry{"gelu", gelu_bench};
struct Entry {
  std::string name;
  void (*body)(Run&);
  Entry(std::string name, void (*body)(Run&));
};

/// All of them, by name.
std::vector<Entry> entries();

}  // namespace fathom::bench
