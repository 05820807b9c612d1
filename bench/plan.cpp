#include "bench/plan.h"

#include <algorithm>
#include <chrono>
#include <regex>

namespace fathom::bench {

std::string letter_of(ModelSize size) {
  switch (size) {
    case ModelSize::S: return "S";
    case ModelSize::B: return "B";
    case ModelSize::L: return "L";
    case ModelSize::g: return "g";
  }
  fail("letter_of: unknown size ", int(size));
}

std::vector<Setting> Selection::settings() const {
  std::vector<Setting> list;
  for (const ModelSize size : models) {
    std::vector<ImageSize> sizes = images;
    if (sizes.empty()) sizes.push_back({518, 518});
    if (images.empty() && size == ModelSize::S && device == kCpu) sizes.push_back({518, 686});
    for (const int64_t batch : batches)
      for (const ImageSize image : sizes)
        list.push_back(
            {depth_anything_config(2, size), letter_of(size), image.height, image.width, batch});
  }
  return list;
}

namespace {

class Filter {
 public:
  explicit Filter(const Selection& selection) : dtypes_(selection.dtypes) {
    try {
      pattern_ = std::regex(selection.filter);
    } catch (const std::regex_error& error) {
      fail("--filter ", selection.filter, ": not a regular expression: ", error.what());
    }
  }
  bool operator()(const std::string& name) const {
    const auto chosen = [&](DType dtype) {
      return name.ends_with("/" + std::string(name_of(dtype)));
    };
    return std::any_of(dtypes_.begin(), dtypes_.end(), chosen) && std::regex_search(name, pattern_);
  }

 private:
  std::vector<DType> dtypes_;
  std::regex pattern_;
};

void for_each_case(const Selection& selection,
                   const std::function<void(const std::string&, const Case&)>& f) {
  for (const Entry& entry : entries()) {
    Run run(selection.settings(), [&](const Case& measured) {
      if (!measured.cpu_only || selection.device == kCpu) f(entry.name, measured);
    });
    entry.body(run);
  }
}

}  // namespace

std::vector<std::string> list_kernels(const Selection& selection) {
  const Filter wanted(selection);
  std::vector<std::string> names;
  for_each_case(selection, [&](const std::string& op, const Case& measured) {
    for (const std::string& name : row_names(op, measured))
      if (wanted(name)) names.push_back(name);
  });
  return names;
}

std::vector<std::string> run_kernels(const Meter& meter, CeilingLog& ceilings,
                                     const Selection& selection, const Effort& effort,
                                     double time_budget_s,
                                     const std::function<void(const Row&)>& done) {
  const Filter wanted(selection);
  check(!list_kernels(selection).empty(), "bench: no row matches '", selection.filter,
        "'; see fathom bench --list");
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::string> left;
  const auto in_time = [&](const std::string& name) {
    if (!wanted(name)) return false;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    if (time_budget_s <= 0 || passed.count() < time_budget_s) return true;
    if (std::find(left.begin(), left.end(), name) == left.end()) left.push_back(name);
    return false;
  };
  for_each_case(selection, [&](const std::string& op, const Case& measured) {
    run_case(meter, ceilings, op, measured, effort, in_time, done);
  });
  return left;
}

}  // namespace fathom::bench
