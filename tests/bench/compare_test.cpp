#include "bench/compare.h"

#include <random>

#include "tests/testing.h"

namespace fathom::bench {

// What a shared machine does to times: every sample scatters by 2 %, one in ten was disturbed and
// takes up to half as long again, and a whole run is off by 1 %.
static Row noisy_row(const std::string& name, double seconds, std::mt19937& generator) {
  std::normal_distribution<double> scatter(0, 0.02), drift(0, 0.01);
  std::uniform_real_distribution<double> uniform;
  Row row;
  row.name = name;
  const double run = seconds * std::exp(drift(generator));
  for (int i = 0; i < 21; ++i) {
    const double disturbed = uniform(generator) < 0.1 ? 1 + 0.5 * uniform(generator) : 1;
    row.warm.samples_s.push_back(run * disturbed * std::exp(scatter(generator)));
    row.warm.roofline.push_back(seconds / row.warm.samples_s.back());
  }
  return row;
}

static Outcome outcome_of(double factor, unsigned seed) {
  std::mt19937 generator(seed);
  Report before, after;
  before.rows = {noisy_row("op", 1e-3, generator)};
  after.rows = {noisy_row("op", factor * 1e-3, generator)};
  return compare(before, after).at(0).outcome;
}

TEST_CASE("bench compare: a regression of 10 % is flagged and equal runs are not, 20 of 20") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    CHECK(outcome_of(1.10, seed) == Outcome::slower);
    CHECK(outcome_of(1.00, seed + 100) == Outcome::same);
    CHECK(outcome_of(1 / 1.10, seed + 200) == Outcome::faster);
  }
}

TEST_CASE("bench compare: few of many equal runs are flagged") {
  int flagged = 0;
  for (unsigned seed = 0; seed < 400; ++seed)
    flagged += outcome_of(1, seed + 1000) != Outcome::same;
  // The drift between runs alone passes 5 % once in two thousand, in either direction.
  CHECK(flagged <= 4);
}

TEST_CASE("bench compare: one run against itself is the same") {
  std::mt19937 generator(5);
  Report report;
  report.rows = {noisy_row("op", 1e-3, generator)};
  const Change change = compare(report, report).at(0);
  CHECK(change.outcome == Outcome::same);
  CHECK(change.ratio == 1);
  CHECK(change.ratio_low <= 1);
  CHECK(change.ratio_high >= 1);
}

TEST_CASE("bench compare: a difference within the noise is no regression, however large") {
  Report before, after;
  Row wild;
  wild.name = "op";
  wild.warm = {{1, 3, 1.1, 2.9, 1.2}, {1, 1, 1, 1, 1}, 1};
  before.rows = {wild};
  wild.warm.samples_s = {3.1, 1.05, 2.8, 1.15, 2.7};
  after.rows = {wild};
  const Change change = compare(before, after).at(0);
  CHECK(change.ratio > 2);
  CHECK(change.outcome == Outcome::same);
}

TEST_CASE("bench compare: by share, a change of the clock cancels") {
  Report before, after;
  Row row;
  row.name = "op";
  row.warm = {{1.00, 1.01, 1.02, 1.03, 1.04}, {0.80, 0.80, 0.81, 0.81, 0.80}, 1};
  before.rows = {row};
  for (double& s : row.warm.samples_s) s *= 1.3;  // a slower clock: the same share of a lower peak
  after.rows = {row};
  CHECK(compare(before, after).at(0).outcome == Outcome::slower);
  CHECK(compare(before, after, {.by = CompareBy::share}).at(0).outcome == Outcome::same);
  after.rows[0].warm.roofline.assign(5, 0);
  CHECK_THROWS_WITH(compare(before, after, {.by = CompareBy::share}),
                    Catch::Contains("compare by time"));
}

TEST_CASE("bench compare: rows that fail, vanish or appear are named") {
  std::mt19937 generator(1);
  Report before, after;
  before.rows = {noisy_row("breaks", 1, generator), noisy_row("vanishes", 1, generator)};
  after.rows = {noisy_row("breaks", 1, generator), noisy_row("appears", 1, generator)};
  after.rows[0].failure = "wrong";
  const std::vector<Change> changes = compare(before, after);
  REQUIRE(changes.size() == 3);
  CHECK(changes[0].outcome == Outcome::failed);
  CHECK(is_regression(changes[0]));
  CHECK(changes[1].outcome == Outcome::added);
  CHECK(changes[2].outcome == Outcome::missing);
  CHECK_FALSE(is_regression(changes[2]));
  CHECK(compare(after, before).at(0).outcome == Outcome::mended);
  CHECK_THAT(change_line(changes[0]), Catch::Contains("breaks") && Catch::Contains("FAILED"));
  CHECK(change_header().size() <= change_line(changes[0]).size());
}

TEST_CASE("bench compare: different machines are named") {
  Fingerprint a, b;
  a.cpu = "one", b.cpu = "two", a.threads = b.threads = 2;
  CHECK_THAT(differences(a, b), Catch::Contains("cpu: one before, two now"));
  CHECK(differences(a, a).empty());
  b.gpu = {.name = "H", .driver = "1", .compute = "9.0"};
  CHECK_THAT(differences(a, b), Catch::Contains("gpu: none before, H, driver 1 now"));
  b.load = 1.5;
  CHECK_THAT(differences(a, b), Catch::Contains("load 1.50 after"));
  CHECK_THROWS_WITH(compare({}, {}, {.threshold = -1}), Catch::Contains("threshold"));
}

}  // namespace fathom::bench
