#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/device.h"
#include "core/dtype.h"

namespace fathom::bench {

/// Work to be timed: `call`, each time behind an untimed `prepare` where there is one.
struct Work {
  std::function<void()> call;
  std::function<void()> prepare = {};
};

/// How one device is measured. The CPU reads a clock around calls; a GPU would record events
/// around replays of a graph. Everything above it is the same for both.
struct Meter {
  Device device;
  std::string clock;  // what `seconds` reads, in words
  /// Seconds that `calls` calls take together.
  std::function<double(const Work& work, int64_t calls)> seconds;
  /// Fills the caches with something else.
  std::function<void()> flush;
  /// FLOP/s of multiply-adds in registers, now, for operands of a dtype.
  std::function<double(DType dtype)> peak_flops;
  /// Bytes read and written a second by changing more than the caches hold in place, now.
  std::function<double()> memory_bytes;
  double flushed_bytes = 0;  // that `flush` goes over
};

/// Of this machine's CPU with the current number of threads. With one thread the clock counts the
/// time that the thread ran, which other processes disturb less than wall time.
Meter cpu_meter();

}  // namespace fathom::bench
