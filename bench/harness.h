#pragma once

#include <map>

#include "bench/bench.h"
#include "bench/meter.h"
#include "bench/model_costs.h"
#include "bench/report.h"

namespace fathom::bench {

/// How much is measured.
struct Effort {
  int64_t repeat = 21;       // samples of a row at most
  double min_time_s = 0.03;  // samples end when they have taken this long together,
  int64_t least = 4;         // but not before this many
  double sample_s = 1e-3;    // calls are repeated within a sample until it lasts this long
  bool cold = true;
};

/// What a machine reaches now and then.
class CeilingLog {
 public:
  explicit CeilingLog(const Meter& meter);
  /// Seconds that the costs need on the roofline, from ceilings measured now.
  double floor_s(double flops, double bytes, DType dtype);
  bool compute_bound(double flops, double bytes, DType dtype);
  double refill_s() const;  // to bring back what a flush evicts
  Ceilings medians() const;
  /// Ceilings of this moment: FLOP/s for a dtype, and bytes a second.
  Roof now(DType dtype);

 private:
  const Meter& meter_;
  std::vector<double> memory_;
  std::map<DType, std::vector<double>> peaks_;
};

/// Samples by the meter's sampler or, where it has none for this work, of calls as a program makes
/// them; `replayed` tells. once_s, cold: as below.
Sampler sampler_of(const Meter& meter, const Work& work, double once_s, bool cold,
                   const Effort& effort, bool& replayed);

/// Times one piece of work, with the ceilings measured again every 20 ms: the clock of the machine
/// and its other work change all the time, and a share of what was possible at that moment changes
/// less. Of calls above 0.1 s three samples are enough.
/// `once_s` is what a call takes, roughly; the caches are warm from it.
Timing measure(const Meter& meter, CeilingLog& ceilings, const Work& work, double once_s,
               double flops, double bytes, DType dtype, bool cold, const Effort& effort);

/// Rows are named "<op>/<pass>/<size>/<dtype>".
std::string row_name(const std::string& op, const std::string& pass, const std::string& size,
                     DType dtype);

/// Measures those rows of a case that `wanted` names. First every result is compared with the same
/// op on the CPU, whose kernels the tests hold to plain loops and central differences: in f64, and
/// of a GPU in f32 where f64 would take long; rows of bf16 that would take long even so are
/// compared with f32 on the GPU, which other kernels compute. The error of f32 then adds to the
/// bound. A row whose error is above its bound gets no times.
void run_case(const Meter& meter, CeilingLog& ceilings, const std::string& op, const Case& measured,
              const Effort& effort, const std::function<bool(const std::string&)>& wanted,
              const std::function<void(Row)>& done);

/// The names of a case's rows.
std::vector<std::string> row_names(const std::string& op, const Case& measured);

}  // namespace fathom::bench
