#include "core/random.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/philox.h"

namespace fathom {

// Fills x four elements a Philox block; `four` turns a block into four floats. Drawn here and
// moved: random weights are made once, and the bits are the same on every device.
template <class Four>
static Tensor fill(const Shape& shape, Generator& generator, TensorOptions options, Four four) {
  Tensor x = empty(shape, {options.dtype});
  const int64_t n = x.numel(), blocks = ceil_div(n, 4);
  const Generator start = generator;
  const profile::Op op;
  visit_float(options.dtype, [&]<class T>(Tag<T>) {
    T* data = x.data<T>();
    parallel_for(blocks, 4096, [=](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        float values[4];
        four(philox(start.seed, start.position + uint64_t(block)), values);
        for (int64_t i = 4 * block; i < std::min(n, 4 * block + 4); ++i)
          data[i] = cast<T>(values[i - 4 * block]);
      }
    });
  });
  generator.position += uint64_t(blocks);
  return x.to(options.device);
}

static void four_normals(const Philox4& block, float* values) {
  normals_from(block.word[0], block.word[1], values, values + 1);
  normals_from(block.word[2], block.word[3], values + 2, values + 3);
}

Tensor uniform(const Shape& shape, Generator& generator, double low, double high,
               TensorOptions options) {
  return fill(shape, generator, options, [=](const Philox4& block, float* values) {
    for (int i = 0; i < 4; ++i) values[i] = uniform_between(block.word[i], float(low), float(high));
  });
}

Tensor normal(const Shape& shape, Generator& generator, double mean, double deviation,
              TensorOptions options) {
  return fill(shape, generator, options, [=](const Philox4& block, float* values) {
    four_normals(block, values);
    for (int i = 0; i < 4; ++i) values[i] = std::fmaf(values[i], float(deviation), float(mean));
  });
}

Tensor truncated_normal(const Shape& shape, Generator& generator, double mean, double deviation,
                        TensorOptions options) {
  // A redraw takes words from a stream of its own, derived from the block that was rejected.
  const uint64_t seed = generator.seed;
  return fill(shape, generator, options, [=](const Philox4& block, float* values) {
    four_normals(block, values);
    for (int i = 0; i < 4; ++i) {
      float spare[4];
      for (uint64_t attempt = 1; std::fabs(values[i]) > 2.0f; ++attempt) {
        const uint64_t stream = (uint64_t(block.word[i]) << 32) | block.word[(i + 1) % 4];
        four_normals(philox(seed ^ stream, attempt), spare);
        values[i] = spare[i];
      }
      values[i] = std::fmaf(values[i], float(deviation), float(mean));
    }
  });
}

}  // namespace fathom
