#include <nlohmann/json.hpp>

#include "bench/report.h"
#include "bench/statistics.h"
#include "core/error.h"
#include "core/file.h"

namespace fathom::bench {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Timing& timing) {
  return {{"median_s", timing.median_s()},
          {"p10_s", timing.quantile_s(0.1)},
          {"p90_s", timing.quantile_s(0.9)},
          {"roofline_share", timing.roofline_share()},
          {"calls", timing.calls},
          {"samples_s", timing.samples_s},
          {"samples_roofline", timing.roofline}};
}

Timing timing_of(const Json& json) {
  Timing timing;
  timing.samples_s = json.at("samples_s").get<std::vector<double>>();
  timing.roofline = json.at("samples_roofline").get<std::vector<double>>();
  timing.calls = json.at("calls").get<int64_t>();
  check(!timing.samples_s.empty() && timing.samples_s.size() == timing.roofline.size(),
        "samples_s and samples_roofline must be as long, and not empty, but have ",
        timing.samples_s.size(), " and ", timing.roofline.size(), " values");
  for (const double s : timing.samples_s) check(s > 0, "a sample must be positive, but is ", s);
  return timing;
}

Json json_of(const GpuFingerprint& gpu) {
  return {{"name", gpu.name},
          {"driver", gpu.driver},
          {"compute", gpu.compute},
          {"multiprocessors", gpu.multiprocessors},
          {"memory_bytes", gpu.memory_bytes},
          {"l2_cache_bytes", gpu.l2_cache_bytes},
          {"max_clock_mhz", gpu.max_clock_mhz},
          {"clock_mhz", gpu.clock_mhz},
          {"memory_clock_mhz", gpu.memory_clock_mhz}};
}

GpuFingerprint gpu_of(const Json& json) {
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  return {.name = text("name"),
          .driver = text("driver"),
          .compute = text("compute"),
          .multiprocessors = json.at("multiprocessors").get<int>(),
          .memory_bytes = json.at("memory_bytes").get<int64_t>(),
          .l2_cache_bytes = json.at("l2_cache_bytes").get<int64_t>(),
          .max_clock_mhz = json.at("max_clock_mhz").get<double>(),
          .clock_mhz = json.at("clock_mhz").get<double>(),
          .memory_clock_mhz = json.at("memory_clock_mhz").get<double>()};
}

Json json_of(const Fingerprint& m) {
  Json json{{"cpu", m.cpu},
            {"flags", m.flags},
            {"isa", m.isa},
            {"cores", m.cores},
            {"threads", m.threads},
            {"pinned", m.pinned},
            {"governor", m.governor},
            {"clock_mhz", m.clock_mhz},
            {"load", m.load},
            {"memory_bytes", m.memory_bytes},
            {"last_level_cache_bytes", m.last_level_cache_bytes},
            {"kernel", m.kernel},
            {"version", m.version},
            {"revision", m.revision},
            {"build", m.build},
            {"libraries", m.libraries},
            {"model_hash", m.model_hash}};
  if (m.gpu) json["gpu"] = json_of(*m.gpu);
  return json;
}

Fingerprint fingerprint_of(const Json& json) {
  Fingerprint m;
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  m.cpu = text("cpu"), m.flags = text("flags"), m.isa = text("isa");
  m.governor = text("governor"), m.kernel = text("kernel"), m.version = text("version");
  m.revision = text("revision"), m.build = text("build"), m.model_hash = text("model_hash");
  m.cores = json.at("cores").get<int>(), m.threads = json.at("threads").get<int>();
  m.pinned = json.at("pinned").get<bool>();
  m.clock_mhz = json.at("clock_mhz").get<double>(), m.load = json.at("load").get<double>();
  m.memory_bytes = json.at("memory_bytes").get<int64_t>();
  m.last_level_cache_bytes = json.at("last_level_cache_bytes").get<int64_t>();
  m.libraries = json.at("libraries").get<std::map<std::string, std::string>>();
  if (json.contains("gpu")) m.gpu = gpu_of(json.at("gpu"));
  return m;
}

DType dtype_named(const std::string& name) {
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16})
    if (name_of(dtype) == name) return dtype;
  fail("dtype ", name, ": expected f64, f32, f16 or bf16");
}

Json json_of(const Row& row) {
  Json json{{"name", row.name},
            {"op", row.op},
            {"pass", row.pass},
            {"size", row.size},
            {"dtype", name_of(row.dtype)},
            {"device", row.device},
            {"threads", row.threads},
            {"images", row.images},
            {"status", row.failed() ? "failed" : "ok"},
            {"flops", row.flops},
            {"bytes", row.bytes},
            {"bound", row.bound},
            {"error", std::isfinite(row.error) ? Json(row.error) : Json()},
            {"error_bound", row.error_bound}};
  if (row.failed()) {
    json["failure"] = row.failure;
    return json;
  }
  const double seconds = row.warm.median_s();
  json["flops_per_s"] = row.flops / seconds;
  json["bytes_per_s"] = row.bytes / seconds;
  json["flops_per_byte"] = row.bytes > 0 ? row.flops / row.bytes : 0;
  json["allocated_bytes"] = row.allocated_bytes;
  json["allocations"] = row.allocations;
  json["warm"] = json_of(row.warm);
  json["cold"] = row.cold ? json_of(*row.cold) : Json();
  json["more"] = row.more;
  return json;
}

Row row_of(const Json& json) {
  Row row;
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  row.name = text("name"), row.op = text("op"), row.pass = text("pass"), row.size = text("size");
  row.dtype = dtype_named(text("dtype")), row.device = text("device"), row.bound = text("bound");
  row.threads = json.at("threads").get<int>(), row.images = json.at("images").get<int64_t>();
  row.flops = json.at("flops").get<double>(), row.bytes = json.at("bytes").get<double>();
  row.error = json.at("error").is_null() ? std::nan("") : json.at("error").get<double>();
  row.error_bound = json.at("error_bound").get<double>();
  const std::string status = text("status");
  check(status == "ok" || status == "failed", "status ", status, ": expected ok or failed");
  if (status == "failed") {
    row.failure = text("failure");
    return row;
  }
  row.allocated_bytes = json.at("allocated_bytes").get<int64_t>();
  row.allocations = json.at("allocations").get<int64_t>();
  row.warm = timing_of(json.at("warm"));
  if (!json.at("cold").is_null()) row.cold = timing_of(json.at("cold"));
  row.more = json.at("more").get<std::map<std::string, double>>();
  return row;
}

}  // namespace

double Timing::median_s() const { return median(samples_s); }
double Timing::quantile_s(double q) const { return quantile(samples_s, q); }
double Timing::roofline_share() const { return median(roofline); }

std::string json_of(const Report& report) {
  Json rows = Json::array();
  for (const Row& row : report.rows) rows.push_back(json_of(row));
  Json ceilings{{"f32_flops_per_s", report.ceilings.f32_flops},
                {"bf16_flops_per_s", report.ceilings.bf16_flops},
                {"memory_bytes_per_s", report.ceilings.memory_bytes}};
  if (report.ceilings.f16_flops > 0) ceilings["f16_flops_per_s"] = report.ceilings.f16_flops;
  const Json json{
      {"schema", kSchema},     {"created", report.created},          {"command", report.command},
      {"clock", report.clock}, {"machine", json_of(report.machine)}, {"ceilings", ceilings},
      {"rows", rows}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Report read_report(const std::filesystem::path& path) {
  const std::string text = read_text(path, int64_t(256) << 20);
  try {
    const Json json = Json::parse(text);
    check(json.is_object() && json.contains("schema"), "not a file of fathom bench: no schema");
    const std::string schema = json.at("schema").get<std::string>();
    check(schema == kSchema, "schema ", schema, ": this program reads ", kSchema);
    Report report;
    report.created = json.at("created").get<std::string>();
    report.command = json.at("command").get<std::string>();
    report.clock = json.at("clock").get<std::string>();
    report.machine = fingerprint_of(json.at("machine"));
    const Json& ceilings = json.at("ceilings");
    report.ceilings = {.f32_flops = ceilings.at("f32_flops_per_s").get<double>(),
                       .bf16_flops = ceilings.at("bf16_flops_per_s").get<double>(),
                       .memory_bytes = ceilings.at("memory_bytes_per_s").get<double>(),
                       .f16_flops = ceilings.value("f16_flops_per_s", 0.0)};
    for (const Json& row : json.at("rows")) {
      try {
        report.rows.push_back(row_of(row));
      } catch (const std::exception& error) {
        fail("row ", report.rows.size() + 1, ": ", error.what());
      }
    }
    return report;
  } catch (const std::exception& error) {
    fail(path.string(), ": ", error.what());
  }
}

std::string google_json_of(const Report& report) {
  const Fingerprint& m = report.machine;
  Json benchmarks = Json::array();
  for (size_t family = 0; family < report.rows.size(); ++family) {
    const Row& row = report.rows[family];
    const int64_t repetitions = int64_t(row.warm.samples_s.size());
    const auto common = [&](const std::string& suffix) {
      return Json{{"name", row.name + suffix},
                  {"family_index", family},
                  {"per_family_instance_index", 0},
                  {"run_name", row.name}};
    };
    if (row.failed()) {
      Json failed = common("");
      failed["run_type"] = "iteration";
      failed["repetitions"] = 1, failed["repetition_index"] = 0, failed["threads"] = row.threads;
      failed["error_occurred"] = true, failed["error_message"] = row.failure;
      benchmarks.push_back(failed);
      continue;
    }
    const auto rates = [&](Json& json, double seconds) {
      json["real_time"] = seconds * 1e9, json["cpu_time"] = seconds * 1e9;
      json["time_unit"] = "ns";
      if (row.bytes > 0) json["bytes_per_second"] = row.bytes / seconds;
      if (row.flops > 0) json["flops"] = row.flops / seconds;
    };
    for (int64_t i = 0; i < repetitions; ++i) {
      Json sample = common("");
      sample["run_type"] = "iteration";
      sample["repetitions"] = repetitions, sample["repetition_index"] = i;
      sample["threads"] = row.threads, sample["iterations"] = row.warm.calls;
      rates(sample, row.warm.samples_s[size_t(i)]);
      benchmarks.push_back(sample);
    }
    double mean = 0, square = 0;
    for (const double s : row.warm.samples_s) mean += s / double(repetitions);
    for (const double s : row.warm.samples_s) square += (s - mean) * (s - mean);
    const double deviation = repetitions > 1 ? std::sqrt(square / double(repetitions - 1)) : 0;
    for (const auto& [name, value] :
         {std::pair{"mean", mean}, {"median", row.warm.median_s()}, {"stddev", deviation}}) {
      Json aggregate = common(std::string("_") + name);
      aggregate["run_type"] = "aggregate";
      aggregate["repetitions"] = repetitions, aggregate["threads"] = row.threads;
      aggregate["aggregate_name"] = name, aggregate["aggregate_unit"] = "time";
      aggregate["iterations"] = repetitions;
      aggregate["real_time"] = value * 1e9, aggregate["cpu_time"] = value * 1e9;
      aggregate["time_unit"] = "ns";
      benchmarks.push_back(aggregate);
    }
  }
  const Json context{{"date", report.created},
                     {"host_name", m.kernel},
                     {"executable", report.command},
                     {"num_cpus", m.cores},
                     {"mhz_per_cpu", int64_t(m.clock_mhz)},
                     {"cpu_scaling_enabled", !m.governor.empty() && m.governor != "performance"},
                     {"caches", Json::array()},
                     {"load_avg", {m.load}},
                     {"library_build_type", "release"},
                     {"cpu", m.cpu},
                     {"fathom_revision", m.revision}};
  return Json{{"context", context}, {"benchmarks", benchmarks}}.dump(
             1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace fathom::bench
