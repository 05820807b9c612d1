#pragma once

#include <vector>

#include "core/parallel.h"
#include "kernels/cpu/isa.h"
#include "tests/testing.h"

namespace fathom {

/// The instruction sets that this machine can run.
inline std::vector<cpu::Isa> test_isas() {
  std::vector<cpu::Isa> isas;
  for (const cpu::Isa isa :
       {cpu::Isa::generic, cpu::Isa::avx2, cpu::Isa::avx512, cpu::Isa::avx512bf16})
    if (isa <= cpu::best_isa()) isas.push_back(isa);
  return isas;
}

/// Where and in which dtype an op runs.
struct Backend {
  TensorOptions options;
  cpu::Isa isa;
};
inline std::ostream& operator<<(std::ostream& out, const Backend& backend) {
  out << backend.options;
  return backend.options.device == kCpu ? out << " (" << name_of(backend.isa) << ")" : out;
}

/// The dtypes in every instruction set of the CPU, and on every other device.
inline std::vector<Backend> test_backends(std::initializer_list<DType> dtypes) {
  std::vector<Backend> backends;
  for (const TensorOptions& options : test_options(dtypes)) {
    if (options.device != kCpu) {
      backends.push_back({options, cpu::best_isa()});
      continue;
    }
    for (const cpu::Isa isa : test_isas()) backends.push_back({options, isa});
  }
  return backends;
}

/// The values of f() as bits are the same with 1, 2 and 3 threads.
inline Verdict same_bits_with_any_threads(const std::function<std::vector<Tensor>()>& f) {
  const int before = thread_count();
  set_thread_count(1);
  const std::vector<Tensor> expected = f();
  Verdict verdict;
  for (const int threads : {2, 3}) {
    set_thread_count(threads);
    const std::vector<Tensor> actual = f();
    for (size_t i = 0; i < expected.size() && verdict.good; ++i) {
      verdict = same_bits(actual[i], expected[i]);
      if (!verdict.good)
        verdict.reason = std::to_string(threads) + " threads, result " + std::to_string(i) + ": " +
                         verdict.reason;
    }
  }
  set_thread_count(before);
  return verdict;
}

/// f(inputs), then the gradient of every input for a random gradient of the output.
inline std::vector<Tensor> output_and_grads(const std::function<Tensor(const Inputs&)>& f,
                                            Inputs inputs) {
  for (Tensor& input : inputs) input = input.detach().set_requires_grad();
  const Tensor y = f(inputs);
  std::vector<Tensor> results{y.detach()};
  backward(y, random_tensor(y.shape(), y.options(), 77));
  for (const Tensor& input : inputs) results.push_back(input.grad());
  return results;
}

}  // namespace fathom
