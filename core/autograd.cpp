#include "core/autograd.h"

#include <atomic>
#include <queue>
#include <unordered_map>
#include <utility>

#include "core/elements.h"
#include "core/parallel.h"

namespace fathom {

// An op on the tape. Its sequence number grows with time, so walking in descending order visits
// every op after all of its consumers.
struct Node {
  std::vector<Tensor> inputs;  // undefined where no gradient is needed
  BackwardOnto backward;
  bool onto = false;  // takes what the first input's gradient has collected
  uint64_t sequence = 0;
  profile::LayerId layer = 0;
  ~Node();
};

// Dropping the last handle of a long graph would destroy node after node recursively: each node's
// inputs hold the node before it. Instead the outermost destructor takes them apart in a loop.
Node::~Node() {
  struct Remains {
    std::vector<Tensor> inputs;
    BackwardOnto backward;
  };
  thread_local std::vector<Remains>* pending = nullptr;
  if (pending) {
    pending->push_back({std::move(inputs), std::move(backward)});
    return;
  }
  std::vector<Remains> queue;
  queue.push_back({std::move(inputs), std::move(backward)});
  pending = &queue;
  while (!queue.empty()) {
    const Remains next = std::move(queue.back());
    queue.pop_back();
  }
  pending = nullptr;
}

// The tape's access to the private part of tensors.
struct Tape {
  using State = Tensor::State;
  static const std::shared_ptr<State>& state(const Tensor& x) { return x.state_; }
  static std::shared_ptr<Node>& node(const Tensor& x) { return x.state_->node; }
  static bool is_leaf(const Tensor& x) { return x.state_->requires_grad; }

  // Adds `more` to `sum`. In place only when nobody else can see the bytes.
  static void accumulate(Tensor& sum, const Tensor& more) {
    if (!sum.defined()) {
      sum = more;
      return;
    }
    const bool alone = sum.state_.use_count() == 1 && sum.storage().use_count() == 1;
    if (!alone || !sum.is_contiguous()) sum = sum.clone();
    add_in_place(sum, more);
  }

  static void add_to_leaf(const Tensor& leaf, const Tensor& gradient) {
    Tensor sum(std::exchange(leaf.state_->grad, nullptr));
    accumulate(sum, gradient);
    leaf.state_->grad = sum.state_;
  }
};

static thread_local bool recording = true;

bool grad_enabled() { return recording; }

NoGrad::NoGrad() : previous_(recording) { recording = false; }
NoGrad::~NoGrad() { recording = previous_; }

bool Tensor::requires_grad() const {
  return defined() && (state_->requires_grad || state_->node != nullptr);
}

Tensor& Tensor::set_requires_grad(bool on) {
  check(!state_->node, "set_requires_grad: the tensor is the result of an op; detach() it first");
  check(!on || is_float(dtype()), "set_requires_grad: ", dtype(), " has no gradients");
  state_->requires_grad = on;
  return *this;
}

Tensor Tensor::detach() const {
  return over(storage(), shape(), strides(), offset(), dtype(), layout());
}

bool needs_grad(const Tensor& x) { return recording && x.requires_grad(); }

static Tensor record_node(Tensor y, std::vector<Tensor> inputs, BackwardOnto backward, bool onto) {
  bool needed = false;
  for (Tensor& input : inputs) {
    if (needs_grad(input))
      needed = true;
    else
      input = {};
  }
  if (!needed) return y;
  static std::atomic<uint64_t> counter{0};
  const auto node = std::make_shared<Node>();
  node->inputs = std::move(inputs);
  node->backward = std::move(backward);
  node->onto = onto;
  node->layer = profile::t_place.layer;
  node->sequence = counter.fetch_add(1, std::memory_order_relaxed);
  Tape::node(y) = node;
  return y;
}

Tensor record(Tensor y, std::vector<Tensor> inputs, Backward backward) {
  return record_node(
      std::move(y), std::move(inputs),
      [backward = std::move(backward)](const Tensor& dy, const Tensor&) { return backward(dy); },
      false);
}

Tensor record_onto(Tensor y, std::vector<Tensor> inputs, BackwardOnto backward) {
  return record_node(std::move(y), std::move(inputs), std::move(backward), true);
}

void backward(const Tensor& y, const Tensor& dy) {
  check(y.requires_grad(), "backward: nothing to differentiate: no input requires a gradient");
  check(dy.defined() || y.numel() == 1, "backward: y has shape ", y.shape(),
        "; give its gradient dy, or reduce it to one number");
  if (dy.defined())
    check(dy.shape() == y.shape() && dy.dtype() == y.dtype(), "backward: dy is ", dy.dtype(), " ",
          dy.shape(), ", but y is ", y.dtype(), " ", y.shape());
  const NoGrad no_grad;
  const profile::PassScope pass(profile::Pass::backward);
  const Tensor seed = dy.defined() ? dy : full(y.shape(), 1, y.options());
  if (Tape::is_leaf(y)) return Tape::add_to_leaf(y, seed);

  struct Pending {
    std::shared_ptr<Node> node;
    Tensor gradient;
  };
  const auto older = [](const Node* a, const Node* b) { return a->sequence < b->sequence; };
  std::priority_queue<Node*, std::vector<Node*>, decltype(older)> order(older);
  std::unordered_map<Node*, Pending> pending;
  const auto arrive = [&](const std::shared_ptr<Node>& node, const Tensor& gradient) {
    Pending& entry = pending[node.get()];
    if (!entry.node) {
      entry.node = node;
      order.push(node.get());
    }
    Tape::accumulate(entry.gradient, gradient);
  };

  arrive(Tape::node(y), seed);
  while (!order.empty()) {
    Node* const next = order.top();
    order.pop();
    auto extracted = pending.extract(next);
    const std::shared_ptr<Node> node = std::move(extracted.mapped().node);
    Tensor gradient = std::move(extracted.mapped().gradient);
    check(node->backward != nullptr,
          "backward: this graph was walked already; its buffers are freed");
    Grads grads;
    {
      const profile::Layer layer(node->layer);
      const BackwardOnto adjoint = std::exchange(node->backward, nullptr);
      Tensor collected;
      if (node->onto && node->inputs[0].defined() && !Tape::is_leaf(node->inputs[0])) {
        const auto entry = pending.find(Tape::node(node->inputs[0]).get());
        if (entry != pending.end()) collected = std::exchange(entry->second.gradient, {});
      }
      grads =
          adjoint(gradient.contiguous(), collected.defined() ? collected.contiguous() : Tensor());
      gradient = {};
    }  // what the op had saved is freed here
    check(grads.size() == node->inputs.size(), "backward: ", grads.size(), " gradients for ",
          node->inputs.size(), " inputs");
    const std::vector<Tensor> inputs = std::exchange(node->inputs, {});
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor& input = inputs[i];
      if (!input.defined() || !grads[i].defined()) continue;
      const Tensor grad = std::exchange(grads[i], {});
      check(grad.shape() == input.shape() && grad.dtype() == input.dtype(),
            "backward: the gradient is ", grad.dtype(), " ", grad.shape(), ", but the input is ",
            input.dtype(), " ", input.shape());
      if (Tape::is_leaf(input))
        Tape::add_to_leaf(input, grad.contiguous());
      else
        arrive(Tape::node(input), grad);
    }
  }
}

Tensor checkpoint(const std::function<Tensor(std::span<const Tensor>)>& f,
                  std::vector<Tensor> inputs) {
  Tensor y;
  {
    const NoGrad no_grad;
    y = f(inputs).detach();
  }
  // Parameters that f captures are not among the inputs, so the op is recorded even if no input
  // needs a gradient: a token that always does ties it to the tape.
  std::vector<Tensor> on_tape = inputs;
  if (grad_enabled()) {
    static const Tensor token = full({1}, 0).set_requires_grad();
    on_tape.push_back(token);
  }
  return record(y, on_tape, [f, inputs = std::move(inputs)](const Tensor& dy) -> Grads {
    recording = true;  // the caller's NoGrad restores its own state when it ends
    std::vector<Tensor> again;
    for (const Tensor& input : inputs) {
      again.push_back(input.defined() ? input.detach() : Tensor());
      if (input.defined() && input.requires_grad()) again.back().set_requires_grad();
    }
    const Tensor y = f(again);
    if (y.requires_grad()) backward(y, dy);
    recording = false;
    Grads grads;
    for (const Tensor& input : again) grads.push_back(input.defined() ? input.grad() : Tensor());
    grads.push_back({});
    return grads;
  });
}

void add_in_place(Tensor& a, const Tensor& b_in) {
  const Tensor b = b_in.contiguous();
  check(a.is_contiguous() && a.shape() == b.shape() && a.dtype() == b.dtype() &&
            a.device() == b.device(),
        "add_in_place: ", a.dtype(), " ", a.shape(), " on ", a.device(), " and ", b.dtype(), " ",
        b.shape(), " on ", b.device());
  visit_stream(a.device(), [&](auto stream) { kernels::add_in_place(stream, b, a); });
}

void kernels::add_in_place(CpuStream, const Tensor& b, Tensor& a) {
  visit_float(a.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    T* pa = a.data<T>();
    const T* pb = b.data<T>();
    parallel_for(a.numel(), 1 << 14, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) pa[i] = cast<T>(Acc(pa[i]) + Acc(pb[i]));
    });
  });
}

}  // namespace fathom
