#include "train/infer/run.h"

#include <chrono>
#include <future>

#include "core/autograd.h"
#include "core/cuda.h"

namespace fathom {
namespace {

// Adds the time of its life to a counter.
class Stopwatch {
 public:
  explicit Stopwatch(double& milliseconds) : milliseconds_(milliseconds) {}
  ~Stopwatch() {
    milliseconds_ += std::chrono::duration<double, std::milli>(Clock::now() - start_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& milliseconds_;
  Clock::time_point start_ = Clock::now();
};

struct LoadedBatch {
  std::vector<const PlannedPhoto*> photos;
  std::vector<Image8> pixels;
  Tensor image;  // [B, H, W, 3] f32; undefined when no photo could be read
  std::vector<InferFailure> failures;
  double decode_ms = 0, resize_ms = 0;
};

LoadedBatch load(const std::vector<PlannedPhoto>& batch, const ImageOptions& options) {
  LoadedBatch loaded;
  const ImageSize size = batch.front().network;
  const int64_t values = size.height * size.width * 3;
  for (const PlannedPhoto& planned : batch) {
    try {
      Image8 photo;
      {
        const Stopwatch watch(loaded.decode_ms);
        photo = read_image(planned.input.photo, options);
      }
      check(ImageSize{photo.height, photo.width} == planned.photo, planned.input.photo.string(),
            ": the file changed while the run was being planned");
      loaded.photos.push_back(&planned);
      loaded.pixels.push_back(std::move(photo));
    } catch (const std::exception& error) {
      loaded.failures.push_back({planned.input.photo.string(), error.what()});
    }
  }
  if (loaded.photos.empty()) return loaded;
  const Stopwatch watch(loaded.resize_ms);
  loaded.image = empty({int64_t(loaded.photos.size()), size.height, size.width, 3});
  float* out = loaded.image.data<float>();
  for (size_t i = 0; i < loaded.photos.size(); ++i)
    preprocess(loaded.pixels[i], size, {out + int64_t(i) * values, size_t(values)});
  return loaded;
}

Tensor predict(const InferRun& run, const Tensor& image, InferTimings& timings) {
  const DepthAnything& model = *run.model;
  const bool metric = model.config.kind == DepthKind::metric;
  std::vector<Tensor> maps;
  {
    const Stopwatch watch(timings.encoder_ms);
    maps = model.pretrained(image.to(run.device).to(run.dtype), model.config.taps);
    if (run.device != kCpu) cuda_synchronize(run.device.index);  // for the two times
  }
  const Stopwatch watch(timings.decoder_ms);
  return model
      .depth_head(std::move(maps), image.dim(1), image.dim(2),
                  metric ? HeadActivation::sigmoid : HeadActivation::relu,
                  metric ? model.config.max_depth_m : 1)
      .to(DType::f32)
      .to(kCpu);  // [B, H, W]
}

bool asked_to_stop(const InferRun& run) { return run.stop && run.stop->load(); }

void write_batch(const InferRun& run, const LoadedBatch& batch, const Tensor& depth,
                 InferReport& report) {
  const int64_t H = depth.dim(1), W = depth.dim(2);
  for (size_t i = 0; i < batch.photos.size() && !asked_to_stop(run); ++i) {
    const PlannedPhoto& planned = *batch.photos[i];
    try {
      FloatMap map;
      {
        const Stopwatch watch(report.timings.post_ms);
        const float* values = depth.data<float>() + int64_t(i) * H * W;
        map = resize_map({H, W, {values, size_t(H * W)}}, planned.photo, run.map_resize);
      }
      const Stopwatch watch(report.timings.write_ms);
      write_outputs(run.output, run.source, planned.input.stem, planned.input.photo,
                    batch.pixels[i], planned.network, map);
      ++report.written;
    } catch (const std::exception& error) {
      report.failures.push_back({planned.input.photo.string(), error.what()});
    }
    if (run.on_progress) run.on_progress(report);
  }
}

void run_batches(const InferRun& run, const InferPlan& plan, InferReport& report) {
  const auto load_later = [&](size_t i) {
    return std::async(std::launch::async, [&, i] { return load(plan.batches[i], run.decode); });
  };
  std::future<LoadedBatch> next;
  if (!plan.batches.empty()) next = load_later(0);
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    LoadedBatch batch = next.get();
    if (asked_to_stop(run)) return;
    if (i + 1 < plan.batches.size()) next = load_later(i + 1);
    report.timings.decode_ms += batch.decode_ms;
    report.timings.resize_ms += batch.resize_ms;
    for (const InferFailure& failure : batch.failures) report.failures.push_back(failure);
    try {
      if (!batch.photos.empty()) {
        const Tensor depth = predict(run, batch.image, report.timings);
        batch.image = {};
        write_batch(run, batch, depth, report);
      }
    } catch (const std::exception& error) {  // out of memory, for example
      for (const PlannedPhoto* planned : batch.photos)
        report.failures.push_back({planned->input.photo.string(), error.what()});
    }
    if (run.on_progress) run.on_progress(report);
  }
}

}  // namespace

InferReport run_inference(const InferRun& run, const InferPlan& plan) {
  const NoGrad no_grad;
  InferReport report;
  report.photos = int64_t(plan.refused.size());
  for (const RefusedPhoto& refused : plan.refused)
    report.failures.push_back({refused.input.photo.string(), refused.reason});
  for (const auto& batch : plan.batches) report.photos += int64_t(batch.size());
  if (run.on_progress) run.on_progress(report);
  {
    const Stopwatch total(report.timings.total_ms);
    run_batches(run, plan, report);
  }
  report.stopped = asked_to_stop(run);
  return report;
}

}  // namespace fathom
