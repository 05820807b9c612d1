#pragma once

#include <atomic>

namespace fathom::cli {

/// From now on SIGINT and SIGTERM end the process with one line and status 128 + signal, and no
/// half-written file stays behind.
void exit_on_signal();

/// The same from the second signal on; the first one sets the returned flag, for a loop that ends
/// between two of its steps.
const std::atomic<bool>& stop_on_signal();

/// 128 + the signal that set the flag.
int signal_status();

}  // namespace fathom::cli
