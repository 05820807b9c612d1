#pragma once

#include <cstdint>
#include <vector>

namespace fathom {

/// Entry `position` of a random permutation of 0 .. size - 1: a bijection for every key and tweak,
/// computed alone, without a table. A Feistel network over Philox, walked until it lands inside.
/// Source: Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (2002), section 5.
int64_t permuted(int64_t position, int64_t size, uint64_t key, uint64_t tweak);

struct OrderOptions {
  uint64_t seed = 0;
  int64_t rank = 0, world = 1;
  /// Of the parts, in any unit; empty: every entry once an epoch (concatenation).
  std::vector<double> weights = {};
};

/// Which sample stands where: a pure function of (seed, epoch, rank, world, position), so a run
/// goes on at any position at once.
///
/// Weighted, part p has a share weight[p] / sum of the positions of an epoch, which is as long as
/// all parts together; it is swept without repetition from epoch to epoch, as often as its share
/// asks for. Ranks take turns; what does not fill all ranks at the end of an epoch is left out.
class SampleOrder {
 public:
  /// sizes: entries of each part. Throws Error for no entries, bad weights or rank.
  SampleOrder(std::vector<int64_t> sizes, OrderOptions options);

  struct Sample {
    int64_t part, index;  // entry `index` of part `part`
    int64_t slot;         // its number in the epoch, the same for every rank and world
  };
  /// Positions of this rank in an epoch.
  int64_t epoch_size() const { return length_ / options_.world; }
  /// position: 0 .. epoch_size() - 1.
  Sample at(int64_t epoch, int64_t position) const;

 private:
  std::vector<int64_t> sizes_, share_;  // share_: positions of each part in an epoch
  OrderOptions options_;
  int64_t length_ = 0;
};

}  // namespace fathom
