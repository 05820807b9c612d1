#include "kernels/elementwise.h"

#include "core/autograd.h"
#include "kernels/cpu/pointwise.h"

namespace fathom {

static void check_same_shape(const char* op, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape(), op, ": shapes must agree, but are ", a.shape(), " and ", b.shape(),
        "; nothing is broadcast");
  check_same_type(op, a, b);
}

Tensor add(const Tensor& a_in, const Tensor& b_in) {
  check_same_shape("add", a_in, b_in);
  const Tensor a = a_in.contiguous(), b = b_in.contiguous();
  Tensor y = empty_like(a);
  visit_stream(a.device(), [&](auto stream) { kernels::add_forward(stream, a, b, y); });
  return record(y, {a_in, b_in}, [](const Tensor& dy) -> Grads { return {dy, dy}; });
}

Tensor sub(const Tensor& a_in, const Tensor& b_in) {
  check_same_shape("sub", a_in, b_in);
  const Tensor a = a_in.contiguous(), b = b_in.contiguous();
  Tensor y = empty_like(a);
  visit_stream(a.device(), [&](auto stream) { kernels::sub_forward(stream, a, b, y); });
  return record(y, {a_in, b_in}, [need_b = needs_grad(b_in)](const Tensor& dy) -> Grads {
    if (!need_b) return {dy, {}};
    Tensor db = empty_like(dy);
    visit_stream(dy.device(), [&](auto stream) { kernels::scale_forward(stream, dy, -1, db); });
    return {dy, db};
  });
}

Tensor mul(const Tensor& a_in, const Tensor& b_in) {
  check_same_shape("mul", a_in, b_in);
  const Tensor a = a_in.contiguous(), b = b_in.contiguous();
  Tensor y = empty_like(a);
  visit_stream(a.device(), [&](auto stream) { kernels::mul_forward(stream, a, b, y); });
  // Each factor's gradient needs the other factor only.
  const Tensor keep_a = needs_grad(b_in) ? a : Tensor(), keep_b = needs_grad(a_in) ? b : Tensor();
  return record(y, {a_in, b_in}, [keep_a, keep_b](const Tensor& dy) -> Grads {
    const auto times_dy = [&](const Tensor& factor) {
      if (!factor.defined()) return Tensor();
      Tensor d = empty_like(dy);
      visit_stream(dy.device(), [&](auto stream) { kernels::mul_forward(stream, dy, factor, d); });
      return d;
    };
    return {times_dy(keep_b), times_dy(keep_a)};
  });
}

Tensor scale(const Tensor& x_in, double factor) {
  const Tensor x = x_in.contiguous();
  Tensor y = empty_like(x);
  visit_stream(x.device(), [&](auto stream) { kernels::scale_forward(stream, x, factor, y); });
  return record(y, {x_in}, [factor](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(dy);
    visit_stream(dy.device(), [&](auto stream) { kernels::scale_forward(stream, dy, factor, dx); });
    return {dx};
  });
}

Tensor relu(const Tensor& x_in) {
  const Tensor x = x_in.contiguous();
  Tensor y = empty_like(x);
  visit_stream(x.device(), [&](auto stream) { kernels::relu_forward(stream, x, y); });
  // The output knows where the input was positive, and the next op keeps it anyway.
  return record(y, {x_in}, [y = y.detach()](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(dy);
    visit_stream(dy.device(), [&](auto stream) { kernels::relu_backward(stream, y, dy, dx); });
    return {dx};
  });
}

Tensor sigmoid(const Tensor& x_in) {
  const Tensor x = x_in.contiguous();
  Tensor y = empty_like(x);
  visit_stream(x.device(), [&](auto stream) { kernels::sigmoid_forward(stream, x, y); });
  return record(y, {x_in}, [y = y.detach()](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(dy);
    visit_stream(dy.device(), [&](auto stream) { kernels::sigmoid_backward(stream, y, dy, dx); });
    return {dx};
  });
}

// ---- CPU

using cpu::run_pointwise;

void kernels::add_forward(CpuStream, const Tensor& a, const Tensor& b, Tensor& y) {
  run_pointwise([](const auto& loops) { return loops.add; }, a, b, y);
}

void kernels::sub_forward(CpuStream, const Tensor& a, const Tensor& b, Tensor& y) {
  run_pointwise([](const auto& loops) { return loops.sub; }, a, b, y);
}

void kernels::mul_forward(CpuStream, const Tensor& a, const Tensor& b, Tensor& y) {
  run_pointwise([](const auto& loops) { return loops.mul; }, a, b, y);
}

void kernels::scale_forward(CpuStream, const Tensor& x, double factor, Tensor& y) {
  const auto pick = [factor](const auto& loops) {
    return [factor, loop = loops.scale](const auto* px, auto* py, int64_t n) {
      loop(px, factor, py, n);
    };
  };
  run_pointwise(pick, x, y);
}

void kernels::relu_forward(CpuStream, const Tensor& x, Tensor& y) {
  run_pointwise([](const auto& loops) { return loops.relu; }, x, y);
}

void kernels::relu_backward(CpuStream, const Tensor& y, const Tensor& dy, Tensor& dx) {
  run_pointwise([](const auto& loops) { return loops.relu_backward; }, y, dy, dx);
}

void kernels::sigmoid_forward(CpuStream, const Tensor& x, Tensor& y) {
  run_pointwise([](const auto& loops) { return loops.sigmoid; }, x, y);
}

void kernels::sigmoid_backward(CpuStream, const Tensor& y, const Tensor& dy, Tensor& dx) {
  run_pointwise([](const auto& loops) { return loops.sigmoid_backward; }, y, dy, dx);
}

}  // namespace fathom
