#include "bench/harness.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>

#include "bench/statistics.h"
#include "core/allocator.h"
#include "core/autograd.h"
#include "core/parallel.h"
#include "core/random.h"

namespace fathom::bench {

CeilingLog::CeilingLog(const Meter& meter) : meter_(meter) {
  meter.memory_bytes();  // the first pass pays for the pages
  for (int i = 0; i < 3; ++i) {
    for (const DType dtype : {DType::f32, DType::bf16})
      peaks_[dtype].push_back(meter.peak_flops(dtype));
    memory_.push_back(meter.memory_bytes());
  }
}

bool CeilingLog::compute_bound(double flops, double bytes, DType dtype) {
  std::vector<double>& seen = peaks_[dtype];
  if (seen.empty()) seen.push_back(meter_.peak_flops(dtype));
  return flops / median(seen) > bytes / median(memory_);
}

double CeilingLog::floor_s(double flops, double bytes, DType dtype) {
  if (compute_bound(flops, bytes, dtype)) {
    peaks_[dtype].push_back(meter_.peak_flops(dtype));
    return flops / peaks_[dtype].back();
  }
  memory_.push_back(meter_.memory_bytes());
  return bytes / memory_.back();
}

double CeilingLog::refill_s() const { return meter_.flushed_bytes / median(memory_); }

Ceilings CeilingLog::medians() const {
  const auto f16 = peaks_.find(DType::f16);
  return {.f32_flops = median(peaks_.at(DType::f32)),
          .bf16_flops = median(peaks_.at(DType::bf16)),
          .memory_bytes = median(memory_),
          .f16_flops = f16 == peaks_.end() ? 0 : median(f16->second)};
}

Roof CeilingLog::now(DType dtype) {
  peaks_[dtype].push_back(meter_.peak_flops(dtype));
  memory_.push_back(meter_.memory_bytes());
  return {.flops = peaks_[dtype].back(), .bytes = memory_.back()};
}

using Clock = std::chrono::steady_clock;

// Ceilings older than this are measured again.
static constexpr auto kMoment = std::chrono::milliseconds(20);
// Seconds of a call of which three samples must do.
static constexpr double kLong = 0.1;

static Sampler by_calls(const Meter& meter, const Work& work, double once_s, bool cold,
                        const Effort& effort) {
  Work timed = work;
  int64_t calls = 1;
  if (cold) {
    timed.prepare = [&meter, prepare = work.prepare] {
      if (prepare) prepare();
      meter.flush();
    };
  } else {
    calls = std::clamp<int64_t>(int64_t(effort.sample_s / std::max(once_s, 1e-8)), 1, 1 << 20);
    if (calls > 1) meter.seconds(work, 1);  // once_s was that of a first call
  }
  return {calls, [&meter, timed, calls] { return meter.seconds(timed, calls); }};
}

Sampler sampler_of(const Meter& meter, const Work& work, double once_s, bool cold,
                   const Effort& effort, bool& replayed) {
  Sampler sampler;
  if (meter.sampler) sampler = meter.sampler(work, effort.sample_s, cold);
  replayed = bool(sampler.sample);
  return replayed ? sampler : by_calls(meter, work, once_s, cold, effort);
}

Timing measure(const Meter& meter, CeilingLog& ceilings, const Work& work, double once_s,
               double flops, double bytes, DType dtype, bool cold, const Effort& effort) {
  Timing timing;
  const Sampler sampler = sampler_of(meter, work, once_s, cold, effort, timing.replayed);
  timing.calls = sampler.calls;
  const int64_t least = once_s > kLong ? std::min<int64_t>(effort.least, 3) : effort.least;
  double floor = ceilings.floor_s(flops, bytes, dtype), spent = 0;
  auto measured = Clock::now();
  size_t compared = 0;  // samples that know their share
  const auto compare = [&] {
    const double after = ceilings.floor_s(flops, bytes, dtype);
    // The faster of the two moments: the one that was disturbed less.
    for (; compared < timing.samples_s.size(); ++compared)
      timing.roofline.push_back(std::min(floor, after) / timing.samples_s[compared]);
    floor = after;
    measured = Clock::now();
  };
  while (int64_t(timing.samples_s.size()) < effort.repeat &&
         (spent < effort.min_time_s || int64_t(timing.samples_s.size()) < least)) {
    const double seconds = sampler.sample();
    spent += seconds;
    timing.samples_s.push_back(seconds / double(timing.calls));
    if (Clock::now() - measured > kMoment) compare();
  }
  if (compared < timing.samples_s.size()) compare();
  return timing;
}

std::string row_name(const std::string& op, const std::string& pass, const std::string& size,
                     DType dtype) {
  return op + "/" + pass + "/" + size + "/" + std::string(name_of(dtype));
}

namespace {

// Values that f32 and bf16 hold exactly, so that one reference serves every dtype.
Tensor noise(const Shape& shape, uint64_t seed, bool positive = false) {
  Generator generator{seed};
  if (positive) return uniform(shape, generator, 0.1, 1, {DType::bf16});
  return normal(shape, generator, 0, 1, {DType::bf16});
}

Tensors converted(const Tensors& values, TensorOptions options) {
  Tensors result;
  for (const Tensor& value : values) result.push_back(value.to(options.dtype).to(options.device));
  return result;
}

// Root mean square of the difference over that of the expected values, which are f64.
double relative_error(const Tensor& result, const Tensor& expected) {
  if (result.shape() != expected.shape()) return INFINITY;
  const Tensor a = result.detach().contiguous().to(kCpu).to(DType::f64);
  const Tensor b = expected.contiguous();
  const double *pa = a.data<double>(), *pb = b.data<double>();
  double difference = 0, size = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    difference += (pa[i] - pb[i]) * (pa[i] - pb[i]);
    size += pb[i] * pb[i];
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

double worst_error(const Tensors& results, const Tensors& expected) {
  double worst = results.size() == expected.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(results.size(), expected.size()); ++i) {
    const double error = relative_error(results[i], expected[i]);
    if (!(error <= worst)) worst = error;  // a NaN is the worst
  }
  return worst;
}

// An op with the inputs of one dtype: its result without the tape, and its gradients.
class Bound {
 public:
  Bound(const Case& measured, const Tensors& inputs, TensorOptions options)
      : measured_(measured), leaves_(converted(inputs, options)) {
    packed_ = leaves_;
    const auto& constants = measured.constants;
    for (size_t i = 0; i < leaves_.size(); ++i) {
      if (std::find(constants.begin(), constants.end(), i) != constants.end()) continue;
      leaves_[i] = leaves_[i].detach().set_requires_grad();
    }
  }

  void pack() {
    const NoGrad no_grad;
    if (measured_.pack) measured_.pack(packed_);
  }

  Work forward() {
    return {[this] {
      const NoGrad no_grad;
      y_ = {};  // its memory is what the next result gets
      y_ = measured_.op(packed_);
    }};
  }

  void release() { y_ = {}; }

  // Fills what the last pass wrote, and frees it.
  void poison(const std::string& pass) {
    const NoGrad no_grad;
    const auto spoil = [this](const Tensor& x) {
      Tensor target = x.detach();
      if (!target.is_contiguous() || (dy_.defined() && x.storage() == dy_.storage())) return;
      copy_values(full(x.shape(), NAN, x.options()), target);
    };
    if (pass == "forward") spoil(y_);
    for (Tensor& leaf : leaves_) {
      if (leaf.grad().defined()) spoil(leaf.grad());
      leaf.clear_grad();
    }
    y_ = {};
  }

  // The walk over the tape alone; a tape can be walked once, so it is recorded again each time.
  Work backward() {
    return {.call = [this] { fathom::backward(y_, dy_); },
            .prepare =
                [this] {
                  y_ = {};
                  for (Tensor& leaf : leaves_) leaf.clear_grad();
                  y_ = measured_.op(leaves_);
                  if (!dy_.defined()) dy_ = noise(y_.shape(), 99).to(y_.dtype()).to(y_.device());
                }};
  }

  Tensors results(const std::string& pass) {
    if (pass == "forward") {
      forward().call();
      return {y_};
    }
    const Work work = backward();
    work.prepare();
    work.call();
    Tensors gradients;
    for (const Tensor& leaf : leaves_)
      if (leaf.requires_grad()) gradients.push_back(leaf.grad());
    return gradients;
  }

 private:
  const Case& measured_;
  Tensors leaves_, packed_;
  Tensor dy_, y_;
};

std::string device_text(Device device) {
  std::ostringstream text;
  text << device;
  return text.str();
}

std::string describe(double error, double bound) {
  char text[96];
  std::snprintf(text, sizeof text, "relative error %.2e, at most %.2e is right", error, bound);
  return text;
}

// One call, for its memory; returns its time.
double measure_memory(const Meter& meter, const Work& work, Row& row) {
  if (work.prepare) work.prepare();
  const MemoryStatistics before = meter.memory();
  meter.reset_peak();
  const double seconds = meter.seconds({work.call}, 1);
  const MemoryStatistics after = meter.memory();
  row.allocated_bytes = after.peak_bytes - before.current_bytes;
  row.allocations = after.allocations - before.allocations;
  return seconds;
}

}  // namespace

std::vector<std::string> row_names(const std::string& op, const Case& measured) {
  std::vector<std::string> names;
  for (const DType dtype : measured.dtypes) {
    names.push_back(row_name(op, "forward", measured.size, dtype));
    if (!measured.backward.none()) names.push_back(row_name(op, "backward", measured.size, dtype));
  }
  return names;
}

namespace {

// Gradients and values to compare with, and how far they may themselves be from the truth.
struct Expected {
  Tensors values = {};  // f64
  double bound = 0;
  bool on_device = false;
};

// Operations that a CPU does in f64, and in f32, in about the time that a GPU's bench has for a
// row.
constexpr double kDoubleFlops = 1e10, kFloatFlops = 2e11;

// `wide`: a row of f32 is among those that are compared.
Expected expected_of(const Case& measured, const Tensors& inputs, const std::string& pass,
                     Device device, bool wide) {
  const double flops = measured.forward.flops + (pass == "backward" ? measured.backward.flops : 0);
  if (device == kCpu || flops <= kDoubleFlops)
    return {.values = Bound(measured, inputs, {DType::f64, kCpu}).results(pass)};
  Expected expected{.bound = measured.accuracy.bound(DType::f32),
                    .on_device = flops > kFloatFlops && !wide};
  const TensorOptions options{DType::f32, expected.on_device ? device : kCpu};
  for (const Tensor& values : Bound(measured, inputs, options).results(pass))
    expected.values.push_back(values.detach().contiguous().to(kCpu).to(DType::f64));
  return expected;
}

double error_of(const Case& measured, Bound& bound, const std::string& pass, Device device,
                const Tensors& expected) {
  const double error = worst_error(bound.results(pass), expected);
  if (device == kCpu || measured.changes_inputs) return error;
  // Once more into the memory of the first results, which holds NaN now: what a kernel does not
  // write, or writes differently, shows.
  bound.poison(pass);
  const double again = worst_error(bound.results(pass), expected);
  return again <= error ? error : again;  // also when it is not a number
}

void measure_row(const Meter& meter, CeilingLog& ceilings, const Case& measured,
                 const Tensors& inputs, const Expected& expected, const Effort& effort, Row& row) {
  row.bound = ceilings.compute_bound(row.flops, row.bytes, row.dtype) ? "compute" : "memory";
  Bound bound(measured, inputs, {row.dtype, meter.device});
  if (row.pass == "forward") bound.pack();
  row.error = error_of(measured, bound, row.pass, meter.device, expected.values);
  row.error_bound = measured.accuracy.bound(row.dtype) + expected.bound;
  if (!(row.error <= row.error_bound)) {
    row.failure = describe(row.error, row.error_bound);
    return;
  }
  const Work work = row.pass == "forward" ? bound.forward() : bound.backward();
  bound.release();
  const double once_s = measure_memory(meter, work, row);
  const auto timed = [&](bool cold, const Effort& spent) {
    return measure(meter, ceilings, work, once_s, row.flops, row.bytes, row.dtype, cold, spent);
  };
  row.warm = timed(false, effort);
  if (meter.sampler) row.more["graph_replay"] = row.warm.replayed;
  if (expected.on_device) row.more["reference_on_device"] = 1;
  // Bringing back all that a flush evicts would be within the noise of a long call.
  if (!effort.cold || ceilings.refill_s() <= 0.1 * row.warm.median_s()) return;
  Effort few = effort;
  few.repeat = effort.least;
  row.cold = timed(true, few);
}

}  // namespace

void run_case(const Meter& meter, CeilingLog& ceilings, const std::string& op, const Case& measured,
              const Effort& effort, const std::function<bool(const std::string&)>& wanted,
              const std::function<void(Row)>& done) {
  const std::vector<std::string> names = row_names(op, measured);
  if (std::none_of(names.begin(), names.end(), wanted)) return;
  Tensors inputs;
  for (const Shape& shape : measured.inputs)
    inputs.push_back(noise(shape, inputs.size() + 1, measured.positive));

  for (const std::string pass : {"forward", "backward"}) {
    const Cost& cost = pass == "forward" ? measured.forward : measured.backward;
    const auto asked = [&](DType dtype) {
      return wanted(row_name(op, pass, measured.size, dtype));
    };
    if (cost.none() || std::none_of(measured.dtypes.begin(), measured.dtypes.end(), asked))
      continue;
    const bool wide = std::any_of(measured.dtypes.begin(), measured.dtypes.end(),
                                  [&](DType dtype) { return dtype == DType::f32 && asked(dtype); });
    const Expected expected = expected_of(measured, inputs, pass, meter.device, wide);
    for (const DType dtype : measured.dtypes) {
      if (!asked(dtype)) continue;
      Row row;
      row.name = row_name(op, pass, measured.size, dtype);
      row.op = op;
      row.pass = pass;
      row.size = measured.size;
      row.dtype = dtype;
      row.device = device_text(meter.device);
      row.threads = thread_count();
      row.flops = cost.flops;
      row.bytes = cost.bytes_of(dtype);
      try {
        measure_row(meter, ceilings, measured, inputs, expected, effort, row);
      } catch (const Error& error) {  // the other rows still count
        row.failure = error.what();
      }
      done(std::move(row));
    }
  }
}

}  // namespace fathom::bench
