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
    f32_.push_back(meter.peak_flops(DType::f32));
    bf16_.push_back(meter.peak_flops(DType::bf16));
    memory_.push_back(meter.memory_bytes());
  }
}

bool CeilingLog::compute_bound(double flops, double bytes, DType dtype) const {
  const auto& seen = dtype == DType::bf16 ? bf16_ : f32_;
  return flops / median(seen) > bytes / median(memory_);
}

double CeilingLog::floor_s(double flops, double bytes, DType dtype) {
  if (compute_bound(flops, bytes, dtype)) {
    peaks(dtype).push_back(meter_.peak_flops(dtype));
    return flops / peaks(dtype).back();
  }
  memory_.push_back(meter_.memory_bytes());
  return bytes / memory_.back();
}

double CeilingLog::refill_s() const { return meter_.flushed_bytes / median(memory_); }

Ceilings CeilingLog::medians() const { return {median(f32_), median(bf16_), median(memory_)}; }

Roof CeilingLog::now(DType dtype) {
  peaks(dtype).push_back(meter_.peak_flops(dtype));
  memory_.push_back(meter_.memory_bytes());
  return {.flops = peaks(dtype).back(), .bytes = memory_.back()};
}

using Clock = std::chrono::steady_clock;

// Ceilings older than this are measured again.
static constexpr auto kMoment = std::chrono::milliseconds(20);
// Seconds of a call of which three samples must do.
static constexpr double kLong = 0.1;

Timing measure(const Meter& meter, CeilingLog& ceilings, const Work& work, double once_s,
               double flops, double bytes, DType dtype, bool cold, const Effort& effort) {
  Timing timing;
  Work timed = work;
  if (cold) {
    timed.prepare = [&] {
      if (work.prepare) work.prepare();
      meter.flush();
    };
  } else {
    timing.calls =
        std::clamp<int64_t>(int64_t(effort.sample_s / std::max(once_s, 1e-8)), 1, 1 << 20);
    if (timing.calls > 1) meter.seconds(work, 1);  // once_s was that of a first call
  }
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
    const double seconds = meter.seconds(timed, timing.calls);
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
  const MemoryStatistics before = allocator::statistics();
  allocator::reset_peak();
  const double seconds = meter.seconds({work.call}, 1);
  const MemoryStatistics after = allocator::statistics();
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

void run_case(const Meter& meter, CeilingLog& ceilings, const std::string& op, const Case& measured,
              const Effort& effort, const std::function<bool(const std::string&)>& wanted,
              const std::function<void(Row)>& done) {
  std::vector<std::string> names = row_names(op, measured);
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
    const Tensors expected = Bound(measured, inputs, {DType::f64, kCpu}).results(pass);
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
      row.bound = ceilings.compute_bound(row.flops, row.bytes, dtype) ? "compute" : "memory";
      Bound bound(measured, inputs, {dtype, meter.device});
      if (pass == "forward") bound.pack();
      row.error = worst_error(bound.results(pass), expected);
      row.error_bound = measured.accuracy.bound(dtype);
      if (!(row.error <= row.error_bound)) {
        row.failure = describe(row.error, row.error_bound);
        done(std::move(row));
        continue;
      }
      const Work work = pass == "forward" ? bound.forward() : bound.backward();
      bound.release();
      const double once_s = measure_memory(meter, work, row);
      row.warm = measure(meter, ceilings, work, once_s, row.flops, row.bytes, dtype, false, effort);
      // Bringing back all that a flush evicts would be within the noise of a long call.
      if (effort.cold && ceilings.refill_s() > 0.1 * row.warm.median_s()) {
        Effort few = effort;
        few.repeat = effort.least;
        row.cold = measure(meter, ceilings, work, once_s, row.flops, row.bytes, dtype, true, few);
      }
      done(std::move(row));
    }
  }
}

}  // namespace fathom::bench
