#pragma once

#include <string>

#include "core/profile.h"

namespace fathom::bench {

/// The recording in the Trace Event Format, which ui.perfetto.dev and chrome://tracing draw:
/// complete events of the threads and of the streams of GPUs, nested, and counters of the bytes in
/// use. Times are microseconds from the first event on, in order.
/// Source: "Trace Event Format", Google (2016).
std::string trace_of(const profile::Recording& recording);

}  // namespace fathom::bench
