#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/report.h"

namespace fathom::bench {

/// What two measurements of a row say together.
enum class Outcome {
  same,  // no difference that both the threshold and the samples' noise admit
  faster,
  slower,
  failed,   // right before, wrong now
  mended,   // wrong before, right now
  missing,  // only in the old report
  added,    // only in the new one
};

struct Change {
  std::string name;
  Outcome outcome = Outcome::same;
  double old_s = 0, new_s = 0;                      // medians
  double ratio = 1, ratio_low = 1, ratio_high = 1;  // new / old, and its 95 % interval
  double probability = 1;  // of such samples if the change were half the threshold
};

/// The quantity that is compared.
enum class CompareBy {
  time,
  share,  // of the roofline, measured around each sample: a change of the clock cancels
};

struct CompareOptions {
  double threshold = 0.05;  // of the medians' ratio, in both directions
  double significance = 0.05;
  CompareBy by = CompareBy::time;
};

/// Row by row, in the order of the new report, missing rows last. A row is slower if its medians'
/// ratio is above 1 + threshold, and a Mann-Whitney test says that its samples, less half of the
/// threshold, are larger, with a chance of error of at most `significance`; faster likewise. Half,
/// because whole runs differ too, which no test of their samples can see: so a slowdown of twice
/// the threshold is found nearly always, and none of no slowdown nearly never. The interval is a
/// bootstrap of the ratio, with fixed seeds.
std::vector<Change> compare(const Report& before, const Report& after,
                            const CompareOptions& options = {});

/// Whether a change is a regression: slower or failed.
bool is_regression(const Change& change);

/// What differs between the machines, and which of them was busy, a line each; empty if figures can
/// be compared.
std::string differences(const Fingerprint& before, const Fingerprint& after);

std::string change_header();
std::string change_line(const Change& change);

}  // namespace fathom::bench
