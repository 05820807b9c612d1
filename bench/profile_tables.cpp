#include "bench/profile_tables.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace fathom::bench {
namespace {

using profile::Span;
using Kind = profile::Span::Kind;

// What happened in all steps at one place.
struct Sum {
  int64_t calls = 0, self_ns = 0, wait_ns = 0, work_ns = 0;
  int64_t first_ns = INT64_MAX;
};

using Key = std::tuple<std::string, std::string, profile::Pass>;  // layer, op, pass

class Sums {
 public:
  explicit Sums(const profile::Recording& recording) : recording_(recording) {
    for (const Span& span : main().spans)
      if (span.kind == Kind::window && std::string_view(span.window) == "step")
        steps_.push_back(&span);
    check(!steps_.empty(), "profile: the recording has no step");
  }

  const std::vector<const Span*>& steps() const { return steps_; }
  const std::map<Key, Sum>& sums() const { return sums_; }

  // Nested ops are taken out of the ones around them; layers and windows are transparent.
  void add(const profile::Track& track) {
    std::vector<std::pair<const Span*, Sum*>> open;
    for (const Span& span : track.spans) {
      if (!inside(span)) continue;
      while (!open.empty() && open.back().first->end_ns <= span.begin_ns) open.pop_back();
      const bool in_op = span.kind == Kind::op || span.where.line() > 0;
      Sum* const sum = in_op ? &at(span) : nullptr;
      if (!sum) continue;  // a layer, a window, or chunks of a loop in no op
      const int64_t length = span.end_ns - span.begin_ns;
      if (span.kind == Kind::wait) sum->wait_ns += length;
      if (span.kind == Kind::work) sum->work_ns += length;
      if (span.kind != Kind::op) continue;
      ++sum->calls;
      sum->self_ns += length;
      sum->first_ns = std::min(sum->first_ns, span.begin_ns);
      if (!open.empty()) open.back().second->self_ns -= length;
      open.push_back({&span, sum});
    }
  }

  const profile::Track& main() const {
    check(!recording_.threads.empty(), "profile: the recording is empty");
    return recording_.threads.front();
  }

 private:
  bool inside(const Span& span) const {
    return std::any_of(steps_.begin(), steps_.end(), [&](const Span* step) {
      return span.begin_ns >= step->begin_ns && span.begin_ns < step->end_ns;
    });
  }

  Sum& at(const Span& span) {
    return sums_[{profile::layer_path(span.place.layer), profile::op_name(span.where),
                  span.place.pass}];
  }

  const profile::Recording& recording_;
  std::vector<const Span*> steps_;
  std::map<Key, Sum> sums_;
};

// Rows that ops are added to, by name and pass.
class Rows {
 public:
  Rows(double steps, int threads) : steps_(steps), threads_(threads) {}

  ProfileRow& at(const std::string& name, profile::Pass pass) {
    Entry& entry = entries_[{name, pass}];
    entry.row.name = name, entry.row.pass = pass;
    return entry.row;
  }
  void add(const std::string& name, profile::Pass pass, const Sum& sum) {
    ProfileRow& row = at(name, pass);
    row.calls += double(sum.calls) / steps_;
    row.seconds += double(sum.self_ns) * 1e-9 / steps_;
    Entry& entry = entries_[{name, pass}];
    entry.worked_ns += sum.self_ns - sum.wait_ns + sum.work_ns;
    entry.first_ns = std::min(entry.first_ns, sum.first_ns);
  }
  void add_cost(const std::string& name, profile::Pass pass, const OpCost& cost, double share,
                int64_t batch, const Roof& roof) {
    ProfileRow& row = at(name, pass);
    const double images = double(batch);
    row.flops += share * total_flops({cost}) * images;
    row.bytes += share * total_bytes({cost}, batch) * images;
    row.floor_s += share * bench::floor_s({cost}, batch, roof);
  }

  std::vector<ProfileRow> take(bool by_time) {
    std::vector<Entry> list;
    for (auto& [key, entry] : entries_) {
      const double possible = entry.row.seconds * double(threads_) * steps_;
      if (possible > 0) entry.row.busy = double(entry.worked_ns) * 1e-9 / possible;
      list.push_back(std::move(entry));
    }
    std::stable_sort(list.begin(), list.end(), [&](const Entry& a, const Entry& b) {
      return by_time ? a.row.seconds > b.row.seconds : a.first_ns < b.first_ns;
    });
    std::vector<ProfileRow> rows;
    for (Entry& entry : list) rows.push_back(std::move(entry.row));
    return rows;
  }

 private:
  struct Entry {
    ProfileRow row;
    int64_t worked_ns = 0, first_ns = INT64_MAX;
  };
  const double steps_;
  const int threads_;
  std::map<std::pair<std::string, profile::Pass>, Entry> entries_;
};

}  // namespace

std::string together(const std::string& layer) {
  const std::string blocks = "blocks.";
  const size_t at = layer.find(blocks);
  if (at == std::string::npos) return layer;
  const size_t number = at + blocks.size();
  return layer.substr(0, number) + "*" +
         layer.substr(std::min(layer.size(), layer.find_first_not_of("0123456789", number)));
}

ProfileTables summarize(const profile::Recording& recording, Device device, int threads,
                        const std::vector<PlacedCost>& costs, int64_t batch, const Roof& roof) {
  Sums sums(recording);
  const bool on_cpu = device == kCpu;
  for (const profile::Track& track : on_cpu ? recording.threads : recording.streams)
    sums.add(track);

  ProfileTables tables;
  tables.steps = int64_t(sums.steps().size());
  const double steps = double(tables.steps);
  for (const Span* step : sums.steps())
    tables.step_s += double(step->end_ns - step->begin_ns) * 1e-9 / steps;
  tables.outside_s = tables.step_s;

  Rows ops(steps, threads), layers(steps, threads), every(steps, threads);
  for (const auto& [key, sum] : sums.sums()) {
    const auto& [layer, op, pass] = key;
    ops.add(op, pass, sum);
    layers.add(together(layer), pass, sum);
    every.add(layer, pass, sum);
    tables.outside_s -= double(sum.self_ns) * 1e-9 / steps;
  }

  for (const PlacedCost& placed : costs) {
    // The layers that are meant, and the op's name in them.
    std::set<std::string> where;
    std::string name;
    for (const std::string& candidate : placed.ops) {
      for (const auto& [key, sum] : sums.sums())
        if (std::get<1>(key) == candidate && std::get<2>(key) == placed.pass && sum.calls > 0 &&
            together(std::get<0>(key)) == placed.layer)
          where.insert(std::get<0>(key));
      name = candidate;
      if (!where.empty()) break;
    }
    if (where.empty()) {
      tables.unplaced_flops += total_flops({placed.cost}) * double(batch);
      continue;
    }
    ops.add_cost(name, placed.pass, placed.cost, 1, batch, roof);
    layers.add_cost(placed.layer, placed.pass, placed.cost, 1, batch, roof);
    for (const std::string& layer : where)
      every.add_cost(layer, placed.pass, placed.cost, 1 / double(where.size()), batch, roof);
  }
  tables.ops = ops.take(true);
  tables.layers = layers.take(true);
  tables.every_layer = every.take(false);
  if (!on_cpu)
    for (auto* rows : {&tables.ops, &tables.layers, &tables.every_layer})
      for (ProfileRow& row : *rows) row.busy = 0;

  for (const profile::Track& thread : recording.threads)
    for (const profile::MemoryPoint& point : thread.memory)
      if (point.device == device && point.bytes > tables.peak_bytes) {
        tables.peak_bytes = point.bytes;
        tables.peak_layer = profile::layer_path(point.place.layer);
      }
  return tables;
}

}  // namespace fathom::bench
