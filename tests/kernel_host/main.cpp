#define CATCH_CONFIG_MAIN
#include <iostream>

#include "tests/kernel_host/testing.h"

namespace {

struct HostListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    std::cerr << "kernel host: memory accesses of kernels are "
              << (fathom::gpu::host::checked() ? "checked\n" : "not checked\n");
  }
};

}  // namespace

CATCH_REGISTER_LISTENER(HostListener)
