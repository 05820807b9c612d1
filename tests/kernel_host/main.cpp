#define CATCH_CONFIG_MAIN
#include <iostream>

#include "core/allocator.h"
#include "core/cuda/memory.h"
#include "tests/kernel_host/testing.h"

namespace {

struct HostListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    fathom::allocator::enable_guards();
    fathom::cuda::set_memory_caching(false);  // so that the bounds of every tensor are known
    std::cerr << "kernel host: memory accesses of kernels are "
              << (fathom::gpu::host::checked() ? "checked\n" : "not checked\n");
  }
};

}  // namespace

CATCH_REGISTER_LISTENER(HostListener)
