// Which order of execution a launch takes: from the environment, or one after another in a test.
#include <cstdlib>
#include <string_view>

#include "tests/kernel_host/internal.h"

namespace fathom::gpu::host {

namespace {

constexpr const char* kOrders[] = {"forward", "reverse", "random"};
constexpr const char* kAsyncs[] = {"late", "early", "random"};

// The index of the variable's value among three names; `otherwise` when it is not set.
template <class Enum>
Enum choice(const char* variable, const char* const (&names)[3], Enum otherwise) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return otherwise;
  for (int i = 0; i < 3; ++i)
    if (std::string_view(value) == names[i]) return static_cast<Enum>(i);
  throw KernelError(std::string(variable) + " must be " + names[0] + ", " + names[1] + " or " +
                    names[2] + ", but is " + value);
}

std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return otherwise;
  char* end = nullptr;
  const std::uint64_t parsed = std::strtoull(value, &end, 10);
  if (end == value || *end != '\0')
    throw KernelError(std::string(variable) + " must be a number, but is \"" + value + "\"");
  return parsed;
}

bool is_set(const char* variable) { return std::getenv(variable) != nullptr; }

Options from_environment() {
  const bool seeded = is_set("FATHOM_GPU_SEED");  // a seed alone means all that depends on one
  Options o;
  o.workers = static_cast<int>(number("FATHOM_GPU_WORKERS", 0));
  o.order = choice("FATHOM_GPU_ORDER", kOrders, seeded ? Order::random : Order::forward);
  o.async = choice("FATHOM_GPU_ASYNC", kAsyncs, seeded ? Async::random : Async::late);
  o.seed = number("FATHOM_GPU_SEED", 1);
  return o;
}

}  // namespace

Options& options() {
  static Options current = from_environment();
  return current;
}

std::vector<Options> schedules(int random_seeds) {
  const Options now = options();
  if (is_set("FATHOM_GPU_SEED") || is_set("FATHOM_GPU_ORDER") || is_set("FATHOM_GPU_ASYNC"))
    return {from_environment()};
  std::vector<Options> all{{now.workers, Order::forward, Async::late, 1},
                           {now.workers, Order::reverse, Async::early, 1}};
  const std::uint64_t seeds =
      number("FATHOM_GPU_SCHEDULES", static_cast<std::uint64_t>(std::max(0, random_seeds)));
  for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    all.push_back({now.workers, Order::random, Async::random, seed});
  return all;
}

std::string schedule() {
  const Options& o = options();
  const std::string order = kOrders[static_cast<int>(o.order)];
  const std::string async = kAsyncs[static_cast<int>(o.async)];
  return order + " order, copies " + async + " (repeat it with FATHOM_GPU_ORDER=" + order +
         " FATHOM_GPU_ASYNC=" + async + " FATHOM_GPU_SEED=" + std::to_string(o.seed) + ")";
}

}  // namespace fathom::gpu::host
