#include <cmath>
#include <cstdio>
#include <sstream>

#include "bench/report.h"

namespace fathom::bench {
namespace {

template <class... T>
std::string formatted(const char* format, T... values) {
  char text[512];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string size_text(int64_t bytes) {
  if (bytes < 10 << 10) return formatted("%lld B", static_cast<long long>(bytes));
  if (bytes < 10 << 20) return formatted("%.0f KiB", double(bytes) / 1024);
  return formatted("%.0f MiB", double(bytes) / (1 << 20));
}

// A field of a CSV file, in quotes where commas or quotes require them.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string number(double value) { return formatted("%.9g", value); }

constexpr const char* kLine = "%-58s %10s %10s %10s %10s %8s %8s %8s %6s %8s %9s\n";

}  // namespace

std::string time_text(double seconds) {
  if (seconds < 1e-4) return formatted("%.2f us", seconds * 1e6);
  if (seconds < 1) return formatted("%.3f ms", seconds * 1e3);
  return formatted("%.3f s", seconds);
}

std::string table_header() {
  return formatted(kLine, "name", "median", "p10", "p90", "flushed", "GFLOP/s", "GB/s", "FLOP/B",
                   "roof", "error", "memory");
}

std::string table_line(const Row& row) {
  if (row.failed()) return formatted("%-58s FAILED: %s\n", row.name.c_str(), row.failure.c_str());
  const double s = row.warm.median_s();
  const std::string flops = row.flops > 0 ? formatted("%.1f", row.flops / s / 1e9) : "-";
  const std::string bytes = row.bytes > 0 ? formatted("%.1f", row.bytes / s / 1e9) : "-";
  const std::string intensity =
      row.flops > 0 && row.bytes > 0 ? formatted("%.1f", row.flops / row.bytes) : "-";
  const std::string roof = row.bound.empty() ? "-" : formatted("%.2f", row.warm.roofline_share());
  const std::string error = row.error_bound > 0 ? formatted("%.1e", row.error) : "-";
  return formatted(
      kLine, row.name.c_str(), time_text(s).c_str(), time_text(row.warm.quantile_s(0.1)).c_str(),
      time_text(row.warm.quantile_s(0.9)).c_str(),
      row.cold ? time_text(row.cold->median_s()).c_str() : "-", flops.c_str(), bytes.c_str(),
      intensity.c_str(), roof.c_str(), error.c_str(), size_text(row.allocated_bytes).c_str());
}

std::string csv_of(const Report& report) {
  std::ostringstream out;
  out << "name,op,pass,size,dtype,device,threads,images,status,median_s,p10_s,p90_s,"
         "flushed_median_s,flops,bytes,flops_per_s,bytes_per_s,flops_per_byte,bound,"
         "roofline_share,error,error_bound,allocated_bytes,allocations,revision,cpu\n";
  for (const Row& row : report.rows) {
    out << field(row.name) << ',' << field(row.op) << ',' << field(row.pass) << ','
        << field(row.size) << ',' << name_of(row.dtype) << ',' << row.device << ',' << row.threads
        << ',' << row.images << ',' << (row.failed() ? "failed" : "ok") << ',';
    if (row.failed()) {
      out << ",,,," << number(row.flops) << ',' << number(row.bytes) << ",,,," << row.bound << ",,";
    } else {
      const double s = row.warm.median_s();
      out << number(s) << ',' << number(row.warm.quantile_s(0.1)) << ','
          << number(row.warm.quantile_s(0.9)) << ','
          << (row.cold ? number(row.cold->median_s()) : "") << ',' << number(row.flops) << ','
          << number(row.bytes) << ',' << number(row.flops / s) << ',' << number(row.bytes / s)
          << ',' << (row.bytes > 0 ? number(row.flops / row.bytes) : "") << ',' << row.bound << ','
          << number(row.warm.roofline_share()) << ',';
    }
    out << number(row.error) << ',' << number(row.error_bound) << ',' << row.allocated_bytes << ','
        << row.allocations << ',' << field(report.machine.revision) << ','
        << field(report.machine.cpu) << '\n';
  }
  return out.str();
}

}  // namespace fathom::bench
