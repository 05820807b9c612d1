#include "train/data/order.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/philox.h"

namespace fathom {

int64_t permuted(int64_t position, int64_t size, uint64_t key, uint64_t tweak) {
  assert(position >= 0 && position < size);
  // Two halves of equal width; the domain is less than four times the size, so a walk takes less
  // than four steps on average.
  const int half = std::max(1, (int(std::bit_width(uint64_t(size - 1))) + 1) / 2);
  const uint32_t low = uint32_t((uint64_t(1) << half) - 1);
  uint64_t value = uint64_t(position);
  do {
    uint32_t left = uint32_t(value >> half), right = uint32_t(value) & low;
    constexpr uint32_t kRounds = 6;
    for (uint32_t round = 0; round < kRounds; ++round) {
      const Philox4 mixed = philox4x32({{right, round, uint32_t(tweak), uint32_t(tweak >> 32)}},
                                       uint32_t(key), uint32_t(key >> 32));
      const uint32_t next = left ^ (mixed.word[0] & low);
      left = right;
      right = next;
    }
    value = uint64_t(left) << half | right;
  } while (value >= uint64_t(size));
  return int64_t(value);
}

// Whole numbers in the proportions of the weights whose sum is `total`: rounded running sums.
static std::vector<int64_t> shares(const std::vector<double>& weights, int64_t total) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> result;
  double running = 0;
  int64_t given = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    running += weights[i];
    const int64_t until =
        i + 1 == weights.size() ? total : std::llround(double(total) * (running / sum));
    result.push_back(until - given);
    given = until;
  }
  return result;
}

SampleOrder::SampleOrder(std::vector<int64_t> sizes, OrderOptions options)
    : sizes_(std::move(sizes)), options_(std::move(options)) {
  for (const int64_t size : sizes_) {
    check(size > 0, "SampleOrder: a data set without entries");
    length_ += size;
  }
  check(options_.rank >= 0 && options_.rank < options_.world, "SampleOrder: rank ", options_.rank,
        " of ", options_.world);
  check(length_ >= options_.world, "SampleOrder: ", length_, " entries for ", options_.world,
        " ranks; each needs at least one");
  share_ = sizes_;
  if (options_.weights.empty()) return;
  check(options_.weights.size() == sizes_.size(), "SampleOrder: ", options_.weights.size(),
        " weights for ", sizes_.size(), " data sets");
  for (const double weight : options_.weights)
    check(weight > 0 && std::isfinite(weight), "SampleOrder: a weight must be positive, but is ",
          weight, "; leave the data set out instead");
  share_ = shares(options_.weights, length_);
}

SampleOrder::Sample SampleOrder::at(int64_t epoch, int64_t position) const {
  check(epoch >= 0 && position >= 0 && position < epoch_size(), "SampleOrder: position ", position,
        " of ", epoch_size(), " in epoch ", epoch);
  const int64_t slot = permuted(position * options_.world + options_.rank, length_, options_.seed,
                                uint64_t(epoch) << 1);
  int64_t within = slot, part = 0;
  while (within >= share_[size_t(part)]) within -= share_[size_t(part++)];
  // Visits of a part are counted through all epochs; each sweep of it has an order of its own.
  const int64_t size = sizes_[size_t(part)], visit = epoch * share_[size_t(part)] + within;
  const uint64_t sweep = uint64_t(visit / size) << 1 | 1;
  return {part, permuted(visit % size, size, options_.seed + uint64_t(part), sweep), slot};
}

}  // namespace fathom
