#include "train/data/loader.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "core/heap.h"
#include "models/preprocess.h"
#include "train/data/manifest.h"
#include "train/data/order.h"
#include "train/data/sample.h"

namespace fathom {

// A batch on its way. The tensors belong to the workers until `missing` is 0.
struct Pending {
  LoaderBatch batch;
  int64_t missing = 0;
  std::vector<std::vector<std::string>> failures;  // of each place, in the order of the attempts
  std::exception_ptr fatal;
};

struct Loader::State {
  explicit State(LoaderOptions options);
  ~State();
  LoaderBatch next();

  LoaderOptions options;
  std::vector<Manifest> manifests;
  std::unique_ptr<SampleOrder> order;
  bool labeled = false;
  int64_t batch_bytes = 0, window = 1;  // batches that may exist at once

  mutable std::mutex mutex;
  std::condition_variable space, done;
  std::deque<std::unique_ptr<Pending>> queue;  // batches delivered, delivered + 1, ...
  int64_t delivered = 0, next_place = 0;
  bool stop = false;
  LoaderReport report;
  std::vector<std::thread> threads;

 private:
  void work();
  Pending& pending_of(int64_t batch);
  LoaderBatch empty_batch() const;
  void fill(LoaderBatch& batch, int64_t slot, int64_t place,
            std::vector<std::string>& failures) const;
  void fill_from(LoaderBatch& batch, int64_t slot, const ManifestEntry& entry,
                 const FileStore& files, const SampleId& id) const;
  void count(const Pending& pending);
};

static std::vector<Manifest> open_manifests(const LoaderOptions& options) {
  check(!options.manifests.empty(), "Loader: no manifest");
  std::vector<Manifest> manifests;
  for (const auto& path : options.manifests) manifests.emplace_back(path, options.split);
  return manifests;
}

Loader::State::State(LoaderOptions given)
    : options(std::move(given)), manifests(open_manifests(options)) {
  check(options.batch > 0 && options.side > 0 && options.workers > 0 && options.first_batch >= 0,
        "Loader: batch ", options.batch, ", side ", options.side, ", workers ", options.workers,
        ", first batch ", options.first_batch);
  labeled = manifests.front().labeled() > 0;
  std::vector<int64_t> sizes;
  for (const Manifest& manifest : manifests) {
    check(manifest.labeled() == (labeled ? manifest.size() : 0), manifest.path().string(), ": ",
          manifest.labeled(), " of ", manifest.size(),
          " entries have a depth; load labeled and "
          "unlabeled images by manifests or splits of their own");
    sizes.push_back(manifest.size());
  }
  order = std::make_unique<SampleOrder>(sizes, OrderOptions{.seed = options.seed,
                                                            .rank = options.rank,
                                                            .world = options.world,
                                                            .weights = options.weights});
  const int64_t pixel = 12 + (labeled ? 5 : 0);
  batch_bytes = options.batch * options.side * options.side * pixel;
  window = std::max<int64_t>(1, options.queue_bytes / batch_bytes);
  delivered = options.first_batch;
  next_place = delivered * options.batch;
  keep_freed_memory();
  for (int64_t i = 0; i < options.workers; ++i) threads.emplace_back([this] { work(); });
}

Loader::State::~State() {
  {
    const std::lock_guard lock(mutex);
    stop = true;
  }
  space.notify_all();
  for (std::thread& thread : threads) thread.join();
}

LoaderBatch Loader::State::empty_batch() const {
  const Shape map{options.batch, options.side, options.side};
  const Shape photo{options.batch, options.side, options.side, 3};
  LoaderBatch batch{.image = empty(photo), .target = {}, .mask = {}};
  if (labeled) {
    batch.target = empty(map);
    batch.mask = empty(map, {DType::boolean});
  }
  batch.ids.resize(size_t(options.batch));
  return batch;
}

Pending& Loader::State::pending_of(int64_t batch) {
  while (delivered + int64_t(queue.size()) <= batch) {
    auto pending = std::make_unique<Pending>();
    pending->batch = empty_batch();
    pending->missing = options.batch;
    pending->failures.resize(size_t(options.batch));
    queue.push_back(std::move(pending));
    report.peak_bytes = std::max(report.peak_bytes, int64_t(queue.size()) * batch_bytes);
  }
  return *queue[size_t(batch - delivered)];
}

void Loader::State::work() {
  std::unique_lock lock(mutex);
  for (;;) {
    space.wait(lock, [&] { return stop || next_place / options.batch < delivered + window; });
    if (stop) return;
    const int64_t place = next_place++, slot = place % options.batch;
    std::exception_ptr fatal;
    Pending* pending = nullptr;
    try {
      pending = &pending_of(place / options.batch);
    } catch (...) {  // no memory for a batch: the run cannot go on
      queue.push_back(std::make_unique<Pending>());
      queue.back()->fatal = std::current_exception();
      stop = true;
      done.notify_all();
      return;
    }
    lock.unlock();
    try {
      fill(pending->batch, slot, place, pending->failures[size_t(slot)]);
    } catch (...) {
      fatal = std::current_exception();
    }
    lock.lock();
    if (fatal && !pending->fatal) pending->fatal = fatal;
    if (--pending->missing == 0) done.notify_all();
  }
}

// Where a sample is corrupt, those of the next positions are tried: as pure as the order itself.
void Loader::State::fill(LoaderBatch& batch, int64_t slot, int64_t place,
                         std::vector<std::string>& failures) const {
  const int64_t size = order->epoch_size(), epoch = place / size;
  constexpr int64_t kAttempts = 32;
  for (int64_t attempt = 0; attempt < std::min(kAttempts, size); ++attempt) {
    const SampleOrder::Sample sample = order->at(epoch, (place % size + attempt) % size);
    const Manifest& manifest = manifests[size_t(sample.part)];
    const SampleId id{options.seed, epoch, sample.slot};
    try {
      fill_from(batch, slot, manifest.entry(sample.index), manifest.files(), id);
      batch.ids[size_t(slot)] = id;
      return;
    } catch (const Error& error) {
      failures.push_back(error.what());
    }
  }
  fail("no readable sample among ", failures.size(), " in a row; the last: ", failures.back());
}

static void check_ratio(const Image8& photo, const DepthMap& map, const std::string& name) {
  const double ratio =
      double(photo.width) * double(map.height) / (double(photo.height) * double(map.width));
  // Maps at a network's input size are rounded to multiples of 14.
  check(ratio > 0.8 && ratio < 1.25, name, ": a label of ", map.width, " x ", map.height,
        " for a photo of ", photo.width, " x ", photo.height, "; do they belong together?");
}

void Loader::State::fill_from(LoaderBatch& batch, int64_t slot, const ManifestEntry& entry,
                              const FileStore& files, const SampleId& id) const {
  const int64_t side = options.side, pixels = side * side;
  const ImageOptions limits{.max_pixels = options.max_pixels};
  const Image8 photo = load_image(files, entry, limits);
  const CropWindow window = draw_window({photo.height, photo.width}, side, options.augment, id);
  if (labeled) {
    const DepthMap map = load_depth(files, entry, options.target, limits);
    check_ratio(photo, map, entry.depth);
    resize_crop(map, window, {batch.target.data<float>() + slot * pixels, size_t(pixels)},
                {batch.mask.data<bool>() + slot * pixels, size_t(pixels)});
  }
  const std::span<float> image(batch.image.data<float>() + slot * pixels * 3, size_t(pixels * 3));
  if (!options.perturb) return resize_crop(photo, window, image, kImageNet);
  resize_crop(photo, window, image);
  perturb(draw_perturbation(options.augment, id), image, side, side);
  normalize(image);
}

// In the order of the places, so that a run ends at the same batch with any number of workers.
void Loader::State::count(const Pending& pending) {
  for (const auto& failures : pending.failures) {
    ++report.places;
    for (const std::string& message : failures) {
      ++report.skipped;
      const bool known = std::ranges::find(report.messages, message) != report.messages.end();
      if (!known && report.messages.size() < 100) report.messages.push_back(message);
      constexpr int64_t kAtLeast = 1000;  // one bad file among the first ten is not yet 10%
      const double allowed = options.max_bad_rate * double(std::max(report.places, kAtLeast));
      check(double(report.skipped) <= allowed, report.skipped, " corrupt samples among ",
            report.places, ", more than the rate of ", options.max_bad_rate,
            " allows; the last: ", message);
    }
  }
}

LoaderBatch Loader::State::next() {
  std::unique_lock lock(mutex);
  const auto start = std::chrono::steady_clock::now();
  done.wait(lock, [&] {
    return !queue.empty() && (queue.front()->missing == 0 || queue.front()->fatal);
  });
  report.wait_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  Pending& front = *queue.front();
  if (front.fatal) {
    done.wait(lock, [&] { return queue.front()->missing == 0; });  // nobody writes to it any more
    std::rethrow_exception(front.fatal);
  }
  const std::unique_ptr<Pending> pending = std::move(queue.front());
  queue.pop_front();
  ++delivered;
  space.notify_all();
  count(*pending);
  return std::move(pending->batch);
}

Loader::Loader(LoaderOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Loader::~Loader() = default;
LoaderBatch Loader::next() { return state_->next(); }
int64_t Loader::epoch_size() const { return state_->order->epoch_size(); }
bool Loader::labeled() const { return state_->labeled; }

LoaderReport Loader::report() const {
  const std::lock_guard lock(state_->mutex);
  return state_->report;
}

}  // namespace fathom
