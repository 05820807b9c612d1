#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace fathom {

/// One gradient an input, undefined where none is needed.
using Grads = std::vector<Tensor>;

/// The adjoint of one op: takes the gradient of its output (contiguous, same shape and dtype as
/// the output) and returns those of its inputs.
using Backward = std::function<Grads(const Tensor& dy)>;

/// Returns y, tied to the tape if an input needs a gradient and gradients are on. `inputs` may
/// hold undefined tensors for absent arguments. A closure that needs the output itself must
/// capture y.detach(), or the graph would own itself.
Tensor record(Tensor y, std::vector<Tensor> inputs, Backward backward);

/// As record(), for an adjoint that can add on the way: it is also given what has been collected
/// of the gradient of the first input so far (contiguous), or an undefined tensor, and returns
/// their sum in its place. Of a residual stream's two gradients the one that goes past an op is
/// there before the op's own; a pass of its own would read and write all of it once more.
using BackwardOnto = std::function<Grads(const Tensor& dy, const Tensor& collected)>;
Tensor record_onto(Tensor y, std::vector<Tensor> inputs, BackwardOnto backward);

/// Whether a gradient must be computed for x: gradients are on, and x is a leaf that collects one
/// or the result of an op on the tape.
bool needs_grad(const Tensor& x);

/// Whether ops are recorded on this thread.
bool grad_enabled();

/// No op is recorded on this thread while one of these lives.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

/// Walks the tape from y, newest op first, without recursion, and adds to the grad() of every leaf.
/// dy is the gradient of y; a y of one element may leave it out (1). Ops already passed are freed
/// on the way, so a graph can be walked once.
void backward(const Tensor& y, const Tensor& dy = {});

/// f(inputs), keeping nothing for the backward pass but the inputs: f runs again when its gradient
/// is asked for. f must be pure and give the same values again; parameters it captures receive
/// their gradients as usual. Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost"
/// (2016).
Tensor checkpoint(const std::function<Tensor(std::span<const Tensor>)>& f,
                  std::vector<Tensor> inputs);

/// Adds b to a, both contiguous of the same shape and dtype; float dtypes.
void add_in_place(Tensor& a, const Tensor& b);

}  // namespace fathom
