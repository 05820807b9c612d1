#define CATCH_CONFIG_MAIN
#include "core/allocator.h"
#include "core/parallel.h"
#include "tests/testing.h"

namespace {

// Every tensor of the tests stands between guard bands, checked after each test case.
struct GuardListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    fathom::allocator::enable_guards();
    std::cerr << "devices:";
    for (const fathom::Device device : fathom::test_devices()) std::cerr << ' ' << device;
    std::cerr << ", " << fathom::thread_count() << " threads\n";
  }
  void testCaseEnded(const Catch::TestCaseStats&) override { fathom::allocator::check_guards(); }
};

}  // namespace

CATCH_REGISTER_LISTENER(GuardListener)
