#include "core/cuda/graph.h"

namespace fathom::cuda {

Graph::~Graph() {
  if (!capturing_) return;  // an exception left the step
  memory_->close();
  try {
    const std::unique_ptr<CUgraphExec_st, DestroyHandle> unfinished(
        driver::end_capture(stream_.handle, 1));
  } catch (const Error&) {  // it was the capture itself that failed
  }
}

void Graph::begin(CudaStream stream) {
  check(!capturing_, "graph: begin() was called twice");
  graph_.reset();
  memory_ = std::make_unique<PrivateMemory>(stream);
  stream_ = stream;
  driver::begin_capture(stream.handle);
  capturing_ = true;
}

void Graph::end(int64_t times) {
  check(capturing_, "graph: end() without begin()");
  check(times > 0, "graph: a replay must do the step once at least, not ", times, " times");
  capturing_ = false;
  memory_->close();
  graph_.reset(driver::end_capture(stream_.handle, times));
  check(graph_ != nullptr, "the step on cuda:", stream_.device,
        " could not be captured: an operation in it failed or waited for the device");
}

void Graph::replay() const {
  check(ready(), "graph: replay() before a step was captured");
  driver::launch(graph_.get(), stream_.handle);
}

}  // namespace fathom::cuda
