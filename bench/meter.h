#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/allocator.h"
#include "core/device.h"
#include "core/dtype.h"

namespace fathom::bench {

/// Work to be timed: `call`, each time behind an untimed `prepare` where there is one.
struct Work {
  std::function<void()> call;
  std::function<void()> prepare = {};
};

/// A moment of a device.
using Mark = std::shared_ptr<void>;
/// Of this machine's clock.
Mark wall_mark();
double wall_between_s(const Mark& from, const Mark& to);

/// Work made ready to be measured again and again.
struct Sampler {
  int64_t calls = 1;               // in a sample
  std::function<double()> sample;  // seconds that all of them take together
};

/// How one device is measured: the CPU by a clock around calls, a GPU by events around replays of
/// a graph. Everything above it is the same for both.
struct Meter {
  Device device;
  std::string clock;  // what is read, in words
  /// Seconds that `calls` calls take together, each as a program would make it.
  std::function<double(const Work& work, int64_t calls)> seconds;
  /// Fills the caches with something else.
  std::function<void()> flush;
  /// FLOP/s of multiply-adds for operands of a dtype, now: on the CPU in registers, on a GPU in a
  /// large product.
  std::function<double(DType dtype)> peak_flops;
  /// Bytes read and written a second by going over more than the caches hold, now.
  std::function<double()> memory_bytes;
  double flushed_bytes = 0;  // that `flush` goes over
  /// Of work that has run before, in samples of `sample_s` or a little more; flushed: caches are
  /// full of something else before each call. Without it, or when it has none (`sample` is empty),
  /// `seconds` is used.
  std::function<Sampler(const Work& work, double sample_s, bool flushed)> sampler = {};
  /// A moment, and the seconds from one to a later one that is waited for: on a GPU an event in the
  /// queue of the device's work.
  std::function<Mark()> mark = wall_mark;
  std::function<double(const Mark& from, const Mark& to)> between_s = wall_between_s;
  /// Of the device's tensors.
  std::function<MemoryStatistics()> memory = [] { return allocator::statistics(); };
  std::function<void()> reset_peak = [] { allocator::reset_peak(); };
};

/// Of this machine's CPU with the current number of threads. With one thread the clock counts the
/// time that the thread ran, which other processes disturb less than wall time.
Meter cpu_meter();

}  // namespace fathom::bench
