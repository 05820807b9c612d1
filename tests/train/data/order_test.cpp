#include "train/data/order.h"

#include <map>
#include <set>

#include "tests/testing.h"

namespace fathom {

TEST_CASE("order: a permutation of every size hits each number once") {
  for (const int64_t size : {1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4097}) {
    CAPTURE(size);
    std::set<int64_t> seen;
    for (int64_t i = 0; i < size; ++i) seen.insert(permuted(i, size, 7, 3));
    CHECK(int64_t(seen.size()) == size);
    CHECK(*seen.begin() == 0);
    CHECK(*seen.rbegin() == size - 1);
  }
  // A large one without a table: distinct, inside, and far from the identity.
  std::set<int64_t> seen;
  const int64_t size = int64_t(1) << 40;
  for (int64_t i = 0; i < 1000; ++i) seen.insert(permuted(i, size, 7, 3));
  CHECK(seen.size() == 1000);
  CHECK(*seen.rbegin() < size);
  CHECK(*seen.rbegin() > size / 2);
}

TEST_CASE("order: keys and tweaks give other permutations") {
  const auto list = [](uint64_t key, uint64_t tweak) {
    std::vector<int64_t> result;
    for (int64_t i = 0; i < 100; ++i) result.push_back(permuted(i, 100, key, tweak));
    return result;
  };
  CHECK(list(1, 1) == list(1, 1));
  CHECK(list(1, 1) != list(2, 1));
  CHECK(list(1, 1) != list(1, 2));
  // Where 0 lands over 4000 tweaks: 100 cells of 40 on average; the sum of squares over the mean is
  // chi-squared with 99 degrees of freedom, which exceeds 180 with a probability below 1e-6.
  std::vector<int> cells(100);
  for (uint64_t tweak = 0; tweak < 4000; ++tweak) ++cells[size_t(permuted(0, 100, 5, tweak))];
  double statistic = 0;
  for (const int count : cells) statistic += (count - 40) * (count - 40) / 40.0;
  CHECK(statistic < 180);
}

TEST_CASE("order: an epoch holds every entry once, and epochs differ") {
  const SampleOrder order({5, 1, 7}, {.seed = 3});
  REQUIRE(order.epoch_size() == 13);
  std::vector<std::pair<int64_t, int64_t>> first, second;
  std::set<std::pair<int64_t, int64_t>> seen;
  std::set<int64_t> slots;
  for (int64_t i = 0; i < 13; ++i) {
    const SampleOrder::Sample sample = order.at(0, i);
    first.emplace_back(sample.part, sample.index);
    second.emplace_back(order.at(1, i).part, order.at(1, i).index);
    seen.insert(first.back());
    slots.insert(sample.slot);
  }
  CHECK(seen.size() == 13);
  CHECK(slots.size() == 13);
  CHECK(first != second);
}

TEST_CASE("order: ranks share an epoch without overlap, and in the order of one rank") {
  const SampleOrder whole({10, 4}, {.seed = 9});
  for (int64_t rank = 0; rank < 4; ++rank) {
    const SampleOrder part({10, 4}, {.seed = 9, .rank = rank, .world = 4});
    REQUIRE(part.epoch_size() == 3);  // 14 / 4; two are left out
    for (int64_t i = 0; i < 3; ++i) {
      CHECK(part.at(2, i).slot == whole.at(2, 4 * i + rank).slot);
      CHECK(part.at(2, i).index == whole.at(2, 4 * i + rank).index);
    }
  }
}

TEST_CASE("order: weights set the shares, and every part is swept without repetition") {
  const SampleOrder order({90, 10}, {.seed = 1, .weights = {1, 3}});
  REQUIRE(order.epoch_size() == 100);
  std::map<int64_t, int> first, second;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    int counts[2] = {};
    for (int64_t i = 0; i < 100; ++i) {
      const SampleOrder::Sample sample = order.at(epoch, i);
      ++counts[sample.part];
      ++(sample.part == 0 ? first : second)[sample.index];
    }
    CHECK(counts[0] == 25);
    CHECK(counts[1] == 75);
  }
  // 50 visits of 90 entries, 150 of 10.
  CHECK(first.size() == 50);
  CHECK(second.size() == 10);
  for (const auto& [index, visits] : second) CHECK(visits == 15);
}

TEST_CASE("order: says what is wrong") {
  CHECK_THROWS_WITH(SampleOrder({}, {}), Catch::Contains("0 entries for 1 ranks"));
  CHECK_THROWS_WITH(SampleOrder({3, 0}, {}), Catch::Contains("without entries"));
  CHECK_THROWS_WITH(SampleOrder({3}, {.rank = 2, .world = 2}), Catch::Contains("rank 2 of 2"));
  CHECK_THROWS_WITH(SampleOrder({3}, {.world = 4}), Catch::Contains("3 entries for 4 ranks"));
  CHECK_THROWS_WITH(SampleOrder({3}, {.weights = {1, 2}}), Catch::Contains("2 weights for 1"));
  CHECK_THROWS_WITH(SampleOrder({3}, {.weights = {0}}), Catch::Contains("must be positive"));
  CHECK_THROWS_WITH(SampleOrder({3}, {}).at(0, 3), Catch::Contains("position 3 of 3"));
}

}  // namespace fathom
