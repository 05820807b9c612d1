#include "bench/bench.h"

#include <algorithm>
#include <cmath>

namespace fathom::bench {

static std::vector<Entry>& registered() {
  static std::vector<Entry> list;
  return list;
}

Entry::Entry(std::string name, void (*body)(Run&)) : name(std::move(name)), body(body) {
  registered().push_back(*this);
}

std::vector<Entry> entries() {
  std::vector<Entry> sorted = registered();
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return sorted;
}

double Accuracy::bound(DType dtype) const {
  const double u32 = epsilon(DType::f32) / 2;
  const double sums = 2 * std::sqrt(double(terms)) * u32;
  return roundings * epsilon(dtype) / 2 + sums + 4 * double(positions) * u32 +
         (masked ? std::sqrt(sums) : 0);
}

std::string Setting::size() const {
  return letter + "/" + std::to_string(height) + "x" + std::to_string(width) + "/b" +
         std::to_string(batch);
}

// The coarsest map comes from a convolution with stride 2 and padding 1.
static int64_t level_of(int64_t grid, int level) {
  check(level >= 0 && level < 4, "bench: the decoder has levels 0 to 3, not ", level);
  const int64_t sizes[] = {4 * grid, 2 * grid, grid, ceil_div(grid, 2)};
  return sizes[level];
}

int64_t Setting::level_h(int level) const { return level_of(grid_h(), level); }
int64_t Setting::level_w(int level) const { return level_of(grid_w(), level); }

std::vector<Setting> Run::images() const {
  std::vector<Setting> firsts;
  for (const Setting& setting : settings_)
    if (setting.letter == settings_.front().letter) firsts.push_back(setting);
  return firsts;
}

}  // namespace fathom::bench
