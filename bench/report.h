#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace fathom::bench {

/// Repeated measurements of one thing.
struct Timing {
  std::vector<double> samples_s;  // a call each; a sample is the mean of `calls` calls
  std::vector<double> roofline;   // of each sample: the share of what is possible at that moment
  int64_t calls = 1;
  bool replayed = false;  // calls were those of a captured graph; not in files

  double median_s() const;
  double quantile_s(double q) const;
  double roofline_share() const;  // the median
};

/// One measured thing. Rates are derived from the costs and the times, and not stored here.
struct Row {
  std::string name;      // "attention/forward/S/518x518/b1/f32", unique within a report
  std::string op, pass;  // "attention", "forward"; of a model "model", "encoder"
  std::string size;      // "S/518x518/b1"
  DType dtype = DType::f32;
  std::string device = "cpu";
  int threads = 1;
  int64_t images = 0;  // that one call handles: models only
  double flops = 0, bytes = 0;
  std::string bound;                             // "compute" or "memory"; empty without costs
  double error = 0, error_bound = 0;             // relative, root mean square; bound 0: not checked
  std::string failure;                           // why there are no times
  Timing warm;                                   // caches as the call before left them
  std::optional<Timing> cold;                    // caches full of something else
  int64_t allocated_bytes = 0, allocations = 0;  // most at one time, calls; of the tensors
  std::map<std::string, double> more;            // named figures, for example floor_share

  bool failed() const { return !failure.empty(); }
};

/// The GPU that rows are of.
struct GpuFingerprint {
  std::string name, driver, compute;  // compute capability: "9.0"
  int multiprocessors = 0;
  int64_t memory_bytes = 0, l2_cache_bytes = 0;
  double max_clock_mhz = 0;
  double clock_mhz = 0, memory_clock_mhz = 0;  // when the run began; 0: unknown
};

/// The machine and the build that a report's figures belong to.
struct Fingerprint {
  std::string cpu, flags, isa, governor, kernel, revision, version, build;
  int cores = 0, threads = 0;
  bool pinned = true;
  double clock_mhz = 0;  // as the system states it; 0: unknown
  double load = 0;       // runnable processes, mean of the minute before
  int64_t memory_bytes = 0, last_level_cache_bytes = 0;
  std::map<std::string, std::string> libraries;
  std::string model_hash;  // of the weights, when they came from a file
  std::optional<GpuFingerprint> gpu;
};

Fingerprint fingerprint();

/// What the machine can do, medians over the run.
struct Ceilings {
  double f32_flops = 0, bf16_flops = 0, memory_bytes = 0;
  double f16_flops = 0;  // 0: not measured
};

struct Report {
  std::string created;  // "2026-11-25T14:00:00Z"
  std::string command;
  Fingerprint machine;
  Ceilings ceilings;
  std::string clock;
  std::vector<Row> rows;
};

/// The schema of docs/bench.md; a reader refuses another version.
inline constexpr const char* kSchema = "fathom-bench/1";

std::string json_of(const Report& report);
/// Throws Error naming the file and what is wrong with it.
Report read_report(const std::filesystem::path& path);
/// The shape that Google Benchmark writes, for tools that compare its files: every sample is a
/// repetition, and the aggregates follow.
std::string google_json_of(const Report& report);
std::string csv_of(const Report& report);
/// For a terminal.
std::string table_header();
std::string table_line(const Row& row);
/// "1.234 ms", "12.3 us".
std::string time_text(double seconds);

}  // namespace fathom::bench
