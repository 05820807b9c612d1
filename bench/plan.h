#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/harness.h"
#include "core/image.h"

namespace fathom::bench {

/// Which rows a run measures.
struct Selection {
  std::vector<ModelSize> models{ModelSize::S, ModelSize::B, ModelSize::L};
  /// Network inputs. None: 518 x 518, and on the CPU 518 x 686 for S, whose calls are short.
  std::vector<ImageSize> images = {};
  std::vector<int64_t> batches{1};
  std::vector<DType> dtypes{DType::f32, DType::bf16};
  std::string filter = {};  // a regular expression that a part of the name must match; empty: all
  Device device = kCpu;

  std::vector<Setting> settings() const;
};

/// The letter of a size.
std::string letter_of(ModelSize size);

/// The names of the selected rows, in the order in which they are measured.
std::vector<std::string> list_kernels(const Selection& selection);

/// Measures them; `done` sees every row as it is ready. Begins no row after time_budget_s seconds
/// (0: no limit) and returns the names of those that it left out. Throws Error if none is selected.
std::vector<std::string> run_kernels(const Meter& meter, CeilingLog& ceilings,
                                     const Selection& selection, const Effort& effort,
                                     double time_budget_s,
                                     const std::function<void(const Row&)>& done);

}  // namespace fathom::bench
