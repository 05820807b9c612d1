#include "bench/compare.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <random>

#include "bench/statistics.h"
#include "core/error.h"

namespace fathom::bench {
namespace {

// Samples of what is compared, small being good.
std::vector<double> samples_of(const Row& row, CompareBy by) {
  if (by == CompareBy::time) return row.warm.samples_s;
  std::vector<double> slowness;
  for (const double share : row.warm.roofline) {
    check(share > 0, row.name, ": has no share of the roofline; compare by time");
    slowness.push_back(1 / share);
  }
  return slowness;
}

double resampled_median(const std::vector<double>& samples, std::mt19937& generator,
                        std::vector<double>& scratch) {
  scratch.clear();
  for (size_t i = 0; i < samples.size(); ++i)
    scratch.push_back(samples[generator() % samples.size()]);
  return median(scratch);
}

// The percentile bootstrap. Source: Efron and Tibshirani, "An Introduction to the Bootstrap"
// (1993), section 13.3.
void interval(const std::vector<double>& a, const std::vector<double>& b, Change& change) {
  constexpr int kResamples = 400;
  std::mt19937 generator(1);
  std::vector<double> ratios, scratch;
  for (int i = 0; i < kResamples; ++i) {
    const double before = resampled_median(a, generator, scratch);
    ratios.push_back(resampled_median(b, generator, scratch) / before);
  }
  change.ratio_low = quantile(ratios, 0.025);
  change.ratio_high = quantile(ratios, 0.975);
}

Change compare_row(const Row& before, const Row& after, const CompareOptions& options) {
  Change change{.name = after.name};
  if (before.failed() || after.failed()) {
    if (before.failed() != after.failed())
      change.outcome = after.failed() ? Outcome::failed : Outcome::mended;
    return change;
  }
  const std::vector<double> a = samples_of(before, options.by), b = samples_of(after, options.by);
  change.old_s = before.warm.median_s();
  change.new_s = after.warm.median_s();
  change.ratio = median(b) / median(a);
  interval(a, b, change);
  const bool up = change.ratio > 1;
  std::vector<double> smaller = up ? a : b;
  for (double& sample : smaller) sample *= 1 + options.threshold / 2;
  change.probability = probability_larger(smaller, up ? b : a);
  if (change.probability > options.significance) return change;
  if (change.ratio > 1 + options.threshold) change.outcome = Outcome::slower;
  if (change.ratio < 1 / (1 + options.threshold)) change.outcome = Outcome::faster;
  return change;
}

const char* word(Outcome outcome) {
  switch (outcome) {
    case Outcome::same: return "";
    case Outcome::faster: return "faster";
    case Outcome::slower: return "SLOWER";
    case Outcome::failed: return "FAILED";
    case Outcome::mended: return "mended";
    case Outcome::missing: return "missing";
    case Outcome::added: return "added";
  }
  fail("compare: unknown outcome ", int(outcome));
}

constexpr const char* kLine = "%-58s %10s %10s %8s %15s %9s  %s\n";

}  // namespace

std::vector<Change> compare(const Report& before, const Report& after,
                            const CompareOptions& options) {
  check(options.threshold >= 0 && options.significance > 0 && options.significance < 1,
        "compare: expected a threshold of at least 0 and a significance between 0 and 1, got ",
        options.threshold, " and ", options.significance);
  std::map<std::string, const Row*> old_rows;
  for (const Row& row : before.rows) old_rows[row.name] = &row;
  std::vector<Change> changes;
  for (const Row& row : after.rows) {
    const auto old_row = old_rows.find(row.name);
    if (old_row == old_rows.end()) {
      changes.push_back({.name = row.name, .outcome = Outcome::added});
      continue;
    }
    changes.push_back(compare_row(*old_row->second, row, options));
    old_rows.erase(old_row);
  }
  for (const Row& row : before.rows)
    if (old_rows.count(row.name))
      changes.push_back({.name = row.name, .outcome = Outcome::missing});
  return changes;
}

bool is_regression(const Change& change) {
  return change.outcome == Outcome::slower || change.outcome == Outcome::failed;
}

std::string differences(const Fingerprint& before, const Fingerprint& after) {
  std::string text;
  const auto differ = [&](const char* what, const std::string& a, const std::string& b) {
    if (a != b) text += std::string(what) + ": " + a + " before, " + b + " now\n";
  };
  differ("cpu", before.cpu, after.cpu);
  differ("instruction set", before.isa, after.isa);
  const auto gpu = [](const Fingerprint& machine) {
    return machine.gpu ? machine.gpu->name + ", driver " + machine.gpu->driver : "none";
  };
  differ("gpu", gpu(before), gpu(after));
  differ("threads", std::to_string(before.threads), std::to_string(after.threads));
  differ("governor", before.governor, after.governor);
  differ("weights", before.model_hash, after.model_hash);
  for (const Fingerprint* machine : {&before, &after}) {
    if (machine->load <= 0.5) continue;
    char load[32];
    std::snprintf(load, sizeof load, "%.2f", machine->load);
    text += "load " + std::string(load) + (machine == &before ? " before" : " after") +
            ": other work may have run; trust no difference that does not come again\n";
  }
  return text;
}

std::string change_header() {
  char text[256];
  std::snprintf(text, sizeof text, kLine, "name", "before", "after", "ratio", "95 % interval",
                "chance", "");
  return text;
}

std::string change_line(const Change& change) {
  char text[256], ratio[32] = "-", between[48] = "-", chance[32] = "-";
  const bool timed = change.old_s > 0;
  if (timed) {
    std::snprintf(ratio, sizeof ratio, "%.3f", change.ratio);
    std::snprintf(between, sizeof between, "%.3f - %.3f", change.ratio_low, change.ratio_high);
    std::snprintf(chance, sizeof chance, "%.1e", change.probability);
  }
  std::snprintf(
      text, sizeof text, kLine, change.name.c_str(), timed ? time_text(change.old_s).c_str() : "-",
      timed ? time_text(change.new_s).c_str() : "-", ratio, between, chance, word(change.outcome));
  return text;
}

}  // namespace fathom::bench
