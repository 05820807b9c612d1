#pragma once

#include <cstdint>

#include "core/philox.h"

namespace fathom {

/// Random numbers for one sample of one epoch, a pure function of (seed, epoch, sample, purpose):
/// no draw depends on another sample, a thread, or what was drawn for another purpose.
class Draws {
 public:
  enum class Purpose : uint32_t { order = 1, geometry, jitter, grayscale, blur, cutmix };
  Draws(uint64_t seed, int64_t epoch, int64_t sample, Purpose purpose)
      : seed_(seed), epoch_(uint32_t(epoch)), sample_(uint64_t(sample)), purpose_(purpose) {}

  uint32_t word() {
    if (used_ == 4) {
      block_ = philox4x32({{uint32_t(sample_), uint32_t(sample_ >> 32), epoch_,
                            uint32_t(purpose_) << 24 | blocks_++}},
                          uint32_t(seed_), uint32_t(seed_ >> 32));
      used_ = 0;
    }
    return block_.word[used_++];
  }
  /// Uniform in [low, high).
  float uniform(double low, double high) {
    return low < high ? uniform_between(word(), float(low), float(high)) : float(low);
  }
  bool with_probability(double p) { return double(word()) < p * 4294967296.0; }
  /// Uniform in 0 .. bound - 1; bound below 2^32.
  int64_t below(int64_t bound) { return int64_t(uint64_t(word()) * uint64_t(bound) >> 32); }

 private:
  uint64_t seed_;
  uint32_t epoch_;
  uint64_t sample_;
  Purpose purpose_;
  Philox4 block_{};
  uint32_t blocks_ = 0;
  int used_ = 4;
};

}  // namespace fathom
