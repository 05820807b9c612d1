#include "core/cuda/profile.h"

#include <set>

#include "core/cuda.h"
#include "core/cuda/stream.h"
#include "kernels/elementwise.h"
#include "kernels/layer_scale.h"
#include "tests/testing.h"

namespace fathom {

static std::vector<std::string> names_of(const profile::Track& track) {
  std::vector<std::string> names;
  for (const profile::Span& span : track.spans) names.push_back(profile::op_name(span.where));
  return names;
}

TEST_CASE("cuda profile: a stream's track has its ops, in order, and no allocations") {
  if (cuda_devices().empty()) return;
  const TensorOptions device{DType::f32, {Device::Type::cuda, 0}};
  const Tensor x = random_tensor({3, 33}, device), gamma = random_tensor({33}, device);
  const cuda::Stream beside(0);
  for (int round = 0; round < 2; ++round) {  // the second uses the events of the first again
    profile::take();
    profile::resume();
    const Tensor y = layer_scale(x, gamma);
    relu(y);
    {
      const cuda::StreamScope scope(beside);
      relu(x);
    }
    profile::pause();
    const profile::Recording recording = profile::take();
    REQUIRE(recording.streams.size() == 2);
    std::multiset<std::vector<std::string>> seen;
    for (const profile::Track& stream : recording.streams) {
      CHECK(stream.device == device.device);
      seen.insert(names_of(stream));
      int64_t last_ns = 0;
      for (const profile::Span& span : stream.spans) {
        CHECK(span.begin_ns >= last_ns);
        CHECK(span.end_ns >= span.begin_ns);
        last_ns = span.end_ns;
      }
    }
    CHECK(seen == std::multiset<std::vector<std::string>>{{"layer_scale", "elementwise.relu"},
                                                          {"elementwise.relu"}});
    const auto& memory = recording.threads[0].memory;
    REQUIRE(memory.size() >= 2);  // the results of the three ops
    CHECK(memory[0].device == device.device);
  }
}

}  // namespace fathom
