#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/tensor.h"

namespace fathom {

// A module is a struct with public tensors or modules, a call operator, and one list of its parts:
//
//   static void parts(auto& self, auto&& visit) { visit("fc1", self.fc1); visit("fc2", self.fc2); }
//
// The list, walked with a dotted path, gives loading, saving, counting, moving and optimising. The
// path is the name in the published checkpoints. A part may be a Tensor, a module, a vector of
// modules (named by index), or a variant of modules. An undefined tensor is absent and skipped.

/// Order of a parameter's axes in memory against that of the published checkpoints.
enum class AxisOrder {
  as_published,
  conv,            // memory [O, kh, kw, I], published [O, I, kh, kw]
  conv_transpose,  // memory [kh, kw, O, I], published [I, O, kh, kw]
};

/// The same elements seen in the published order of axes; a view.
inline Tensor published_view(const Tensor& parameter, AxisOrder order) {
  switch (order) {
    case AxisOrder::as_published: return parameter;
    case AxisOrder::conv: return parameter.transpose(1, 3).transpose(2, 3);
    case AxisOrder::conv_transpose:
      return parameter.transpose(0, 3).transpose(1, 2).transpose(2, 3);
  }
  fail("published_view: unknown order ", int(order));
}

template <class M>
concept Module = requires(M& m) {
  M::parts(m, [](std::string_view, auto&, auto...) {});
};

namespace detail {

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_variant = false;
template <class... T>
inline constexpr bool is_variant<std::variant<T...>> = true;

inline std::string join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

// Calls on_module(path, module) for every module, parents first, and on_tensor(path, tensor, order)
// for every tensor that is present.
template <class Part>
void walk(const std::string& path, Part& part, auto& on_module, auto& on_tensor,
          AxisOrder order = AxisOrder::as_published) {
  using Plain = std::remove_const_t<Part>;
  if constexpr (std::same_as<Plain, Tensor>) {
    if (part.defined()) on_tensor(path, part, order);
  } else if constexpr (is_vector<Plain>) {
    for (size_t i = 0; i < part.size(); ++i)
      walk(join(path, std::to_string(i)), part[i], on_module, on_tensor);
  } else if constexpr (is_variant<Plain>) {
    std::visit([&](auto& chosen) { walk(path, chosen, on_module, on_tensor); }, part);
  } else {
    on_module(path, part);
    Plain::parts(part, [&](std::string_view name, auto& child, auto... how) {
      walk(join(path, name), child, on_module, on_tensor, how...);
    });
  }
}

}  // namespace detail

/// Calls f(name, tensor, axis_order) for every parameter of a module, in the order of its lists.
void for_each_parameter(auto& module, auto&& f) {
  auto ignore = [](const std::string&, auto&) {};
  detail::walk("", module, ignore, f);
}

/// Calls f(name, module) for the module and every module inside it.
void for_each_module(auto& module, auto&& f) {
  auto ignore = [](const std::string&, auto&, AxisOrder) {};
  detail::walk("", module, f, ignore);
}

/// module(inputs...), as the layer of this name in a profile. The inputs were computed before.
decltype(auto) call(std::string_view name, const auto& module, auto&&... inputs) {
  const profile::Layer layer(name);
  return module(std::forward<decltype(inputs)>(inputs)...);
}

/// Number of elements of all parameters.
int64_t parameter_count(const auto& module) {
  int64_t count = 0;
  for_each_parameter(module,
                     [&](const std::string&, const Tensor& t, AxisOrder) { count += t.numel(); });
  return count;
}

/// Moves every parameter; whether it collects a gradient stays, a gradient that it holds does not.
void move_to(auto& module, Device device) {
  for_each_parameter(module, [&](const std::string&, Tensor& t, AxisOrder) {
    const bool leaf = t.requires_grad();
    t = t.detach().to(device);
    if (leaf) t.set_requires_grad();
  });
}

/// Makes every parameter a leaf that collects its gradient.
void require_grad(auto& module, bool on = true) {
  for_each_parameter(module,
                     [&](const std::string&, Tensor& t, AxisOrder) { t.set_requires_grad(on); });
}

}  // namespace fathom
