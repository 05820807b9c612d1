#pragma once

#include <functional>
#include <string>

namespace fathom {

/// How a child process ended, and what it wrote to stderr.
struct ChildResult {
  int status = -1;  // exit status; -1 when a signal ended it
  int signal = 0;
  std::string output;
};

/// Runs f in a forked child, for what ends or changes a process: aborts, limits, users. An Error is
/// printed and gives status 1. The child has no pool threads: parallel_for runs on its only one.
ChildResult in_child(const std::function<void()>& f);

/// Runs a command line in a shell; output is stdout and stderr together.
ChildResult run_command(const std::string& command);

}  // namespace fathom
