#include "core/cuda/graph.h"

#include "core/cuda.h"
#include "kernels/elementwise.h"
#include "kernels/layer_norm.h"
#include "kernels/linear.h"
#include "tests/testing.h"

namespace fathom {
namespace {

constexpr TensorOptions kF32{DType::f32, {Device::Type::cuda, 0}};

bool absent() { return cuda_devices().empty(); }

void write(Tensor& x, const Tensor& from) {
  const NoGrad no_grad;
  copy_values(from, x);
}

}  // namespace

TEST_CASE("cuda graph: replays ops and their gradients with new inputs") {
  if (absent()) return;
  const Tensor weight = random_tensor({5, 8}, kF32, 2).set_requires_grad();
  const Tensor bias = random_tensor({5}, kF32, 3);
  Tensor x = random_tensor({3, 8}, kF32), loss, gradient;
  const auto step = [&] {
    Tensor leaf = weight.detach().set_requires_grad();
    const Tensor y = linear(x, leaf, bias);
    backward(y, y.detach());
    loss = y.detach();
    gradient = leaf.grad();
  };
  step();  // what a library needs once
  const std::vector<double> first = values(loss);

  cuda::Graph graph;
  CHECK_FALSE(graph.ready());
  CHECK_THROWS_WITH(graph.replay(), Catch::Contains("before a step was captured"));
  graph.begin(cuda::current_stream(0));
  step();
  graph.end();
  REQUIRE(graph.ready());
  graph.replay();
  CHECK(values(loss) == first);

  write(x, random_tensor({3, 8}, kF32, 9));
  graph.replay();
  const std::vector<double> replayed = values(loss), replayed_gradient = values(gradient);
  step();
  CHECK(replayed == values(loss));
  CHECK(replayed_gradient == values(gradient));
  CHECK(replayed != first);
}

TEST_CASE("cuda graph: a replay does the step as often as it was asked to") {
  if (absent()) return;
  Tensor x = full({5}, 1, kF32);
  cuda::Graph graph;
  graph.begin(cuda::current_stream(0));
  CHECK_THROWS_WITH(graph.end(0), Catch::Contains("once at least"));
  write(x, scale(x, 2));
  graph.end(3);
  graph.replay();
  CHECK(values(x) == std::vector<double>(5, 8));
}

TEST_CASE("cuda graph: what its step allocates stays its own") {
  if (absent()) return;
  cuda::set_memory_caching(true);
  {
    Tensor x = full({1000}, 1, kF32), y, old = full({1000}, 5, kF32);
    const std::byte* const at_old = old.storage()->data();
    cuda::Graph graph;
    graph.begin(cuda::current_stream(0));
    {  // of a size that has a segment of its own
      const Tensor temporary = concat(std::vector<Tensor>(2000, x), 0).to(DType::bf16);
      y = temporary.narrow(0, 0, 1000).to(DType::f16);
    }
    old = {};  // older than the graph: kept for it
    graph.end();
    std::vector<Tensor> others;
    for (int i = 0; i < 100; ++i) {
      others.push_back(full({1000}, 7, kF32));
      CHECK(others.back().storage()->data() != at_old);
    }
    write(x, full({1000}, 3, kF32));
    cuda::release_cached_memory(0);  // which leaves what the step used for a while
    graph.replay();
    CHECK(values(y) == std::vector<double>(1000, 3));
    for (const Tensor& other : others) CHECK(values(other) == std::vector<double>(1000, 7));
  }
  const int64_t reserved = cuda::memory_statistics(0).reserved_bytes;
  cuda::release_cached_memory(0);
  CHECK(cuda::memory_statistics(0).reserved_bytes < reserved);
  cuda::set_memory_caching(false);
}

TEST_CASE("cuda graph: a step that waits for the device is refused, and nothing is broken") {
  if (absent()) return;
  Tensor x = full({1}, 2, kF32);
  {
    cuda::Graph graph;
    graph.begin(cuda::current_stream(0));
    CHECK_THROWS_WITH(x.item(), Catch::Contains("captur"));
    CHECK_THROWS_WITH(graph.end(), Catch::Contains("could not be captured"));
    CHECK_FALSE(graph.ready());
  }
  {
    cuda::Graph graph;
    graph.begin(cuda::current_stream(0));
    CHECK_THROWS_WITH(graph.begin(cuda::current_stream(0)), Catch::Contains("called twice"));
  }  // left open, as by an exception
  CHECK(x.to(DType::f16).item() == 2);
}

}  // namespace fathom
