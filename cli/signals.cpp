#include "cli/signals.h"

#include <unistd.h>

#include <csignal>

#include "core/file.h"

namespace fathom::cli {

static std::atomic<bool> stop{false};
static std::atomic<int> status{0};

// Handlers may call only what is async-signal-safe: write, unlink, _exit.
static void exit_now(int signal) {
  static constexpr char kLine[] = "fathom: stopped by a signal\n";
  remove_unfinished_files();
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kLine, sizeof kLine - 1);
  ::_exit(128 + signal);
}

static void stop_or_exit(int signal) {
  status = 128 + signal;
  if (stop.exchange(true)) exit_now(signal);
}

static void listen(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void exit_on_signal() { listen(exit_now); }

const std::atomic<bool>& stop_on_signal() {
  listen(stop_or_exit);
  return stop;
}

int signal_status() { return status; }

}  // namespace fathom::cli
