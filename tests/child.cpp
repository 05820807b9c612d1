#include "tests/child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "core/error.h"

namespace fathom {

static std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = ::read(descriptor, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer.data(), size_t(n));
  }
}

ChildResult in_child(const std::function<void()>& f) {
  int ends[2];
  check(::pipe(ends) == 0, "in_child: no pipe");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  check(child >= 0, "in_child: cannot fork");
  if (child == 0) {
    ::close(ends[0]);
    ::dup2(ends[1], 2);
    // The test framework would report the end of the child as its own.
    for (const int signal : {SIGABRT, SIGSEGV, SIGTERM, SIGINT, SIGFPE, SIGILL})
      std::signal(signal, SIG_DFL);
    int status = 0;
    try {
      f();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      status = 1;
    }
    ::_exit(status);
  }
  ::close(ends[1]);
  ChildResult result;
  result.output = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

ChildResult run_command(const std::string& command) {
  return in_child([&] {
    ::dup2(2, 1);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    fail("cannot start a shell");
  });
}

}  // namespace fathom
