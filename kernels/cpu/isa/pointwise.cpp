#include "kernels/cpu/pointwise_kernels.h"

#include "kernels/cpu/isa/half.h"
#include "kernels/cpu/isa/simd.h"

namespace fathom::cpu::FATHOM_ISA {

// y = f(x...), lane by lane; the tail sees zeros in the lanes that do not exist.
template <class T, class F, class... X>
[[gnu::always_inline]] inline void map(F f, T* y, int64_t n, const X*... x) {
  constexpr int64_t kStep = kLanes<T>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(y + i, f(load(x + i)...));
  if (i < n) store(y + i, f(load(x + i, int(n - i))...), int(n - i));
}

template <class V>
[[gnu::always_inline]] inline V logistic(V x) {
  return 1 / (1 + exp(-x));
}

template <class T>
struct Pointwise {
  using V = Vec<Acc<T>>;

  static void add(const T* a, const T* b, T* y, int64_t n) {
    map([](V a, V b) { return a + b; }, y, n, a, b);
  }
  static void sub(const T* a, const T* b, T* y, int64_t n) {
    map([](V a, V b) { return a - b; }, y, n, a, b);
  }
  static void mul(const T* a, const T* b, T* y, int64_t n) {
    map([](V a, V b) { return a * b; }, y, n, a, b);
  }
  static void scale(const T* x, double factor, T* y, int64_t n) {
    const Acc<T> f = Acc<T>(factor);
    map([f](V x) { return x * f; }, y, n, x);
  }
  static void relu(const T* x, T* y, int64_t n) {
    map([](V x) { return FATHOM_ISA::relu(x); }, y, n, x);
  }
  static void relu_backward(const T* y, const T* dy, T* dx, int64_t n) {
    map([](V y, V dy) { return y > V{} ? dy : V{}; }, dx, n, y, dy);
  }
  static void sigmoid(const T* x, T* y, int64_t n) {
    map([](V x) { return logistic(x); }, y, n, x);
  }
  static void sigmoid_backward(const T* y, const T* dy, T* dx, int64_t n) {
    map([](V y, V dy) { return dy * y * (1 - y); }, dx, n, y, dy);
  }
  static void gelu(const T* x, T* y, int64_t n) {
    map([](V x) { return FATHOM_ISA::gelu(x); }, y, n, x);
  }
  static void gelu_backward(const T* x, const T* dy, T* dx, int64_t n) {
    map([](V x, V dy) { return dy * gelu_derivative(x); }, dx, n, x, dy);
  }
  static void swiglu(const T* x, T* y, int64_t h) {
    map([](V gate, V value) { return gate * logistic(gate) * value; }, y, h, x, x + h);
  }
  static void swiglu_backward(const T* x, const T* dy, T* dx, int64_t h) {
    const auto lanes = [=](int64_t i, auto... count) {
      const V gate = load(x + i, count...), value = load(x + h + i, count...);
      const V d = load(dy + i, count...), s = logistic(gate);
      store(dx + i, d * value * s * (1 + gate * (1 - s)), count...);  // d silu / d gate
      store(dx + h + i, d * gate * s, count...);
    };
    int64_t i = 0;
    for (; i + kLanes<T> <= h; i += kLanes<T>) lanes(i);
    if (i < h) lanes(i, int(h - i));
  }
};

template <class T>
constexpr PointwiseLoops<T> kLoops{
    .add = Pointwise<T>::add,
    .sub = Pointwise<T>::sub,
    .mul = Pointwise<T>::mul,
    .scale = Pointwise<T>::scale,
    .relu = Pointwise<T>::relu,
    .sigmoid = Pointwise<T>::sigmoid,
    .gelu = Pointwise<T>::gelu,
    .relu_backward = Pointwise<T>::relu_backward,
    .sigmoid_backward = Pointwise<T>::sigmoid_backward,
    .gelu_backward = Pointwise<T>::gelu_backward,
    .swiglu = Pointwise<T>::swiglu,
    .swiglu_backward = Pointwise<T>::swiglu_backward,
};

const ByType<PointwiseLoops> pointwise{kLoops<double>, kLoops<float>, kLoops<F16>, kLoops<Bf16>};

}  // namespace fathom::cpu::FATHOM_ISA
