#include "core/strided_copy.h"

#include <cstring>

#include "core/elements.h"
#include "core/parallel.h"

namespace fathom {
namespace {

CopyPlan plan_copy(const Tensor& from, const Tensor& to) {
  CopyPlan plan;
  for (int axis = 0; axis < from.rank(); ++axis) {
    const int64_t extent = from.shape()[axis];
    if (extent == 1) continue;
    const int64_t a = from.strides()[axis], b = to.strides()[axis];
    const int last = plan.extents.rank() - 1;
    if (last >= 0 && plan.from[last] == a * extent && plan.to[last] == b * extent) {
      plan.extents[last] *= extent;
      plan.from[last] = a;
      plan.to[last] = b;
    } else {
      plan.extents.push_back(extent);
      plan.from.push_back(a);
      plan.to.push_back(b);
    }
  }
  if (plan.extents.rank() == 0) {
    plan.extents.push_back(1);
    plan.from.push_back(1);
    plan.to.push_back(1);
  }
  return plan;
}

template <class From, class To>
void copy_rows(const CopyPlan& plan, const From* from, To* to) {
  const int inner = plan.extents.rank() - 1;
  const int64_t length = plan.extents[inner], a = plan.from[inner], b = plan.to[inner];
  int64_t rows = 1;
  for (int axis = 0; axis < inner; ++axis) rows *= plan.extents[axis];
  // A single long row is cut into pieces, so that it too is spread over the threads.
  const int64_t pieces = rows == 1 ? ceil_div(length, int64_t(1) << 15) : 1;
  const int64_t piece = ceil_div(length, pieces);
  const int64_t grain = std::max<int64_t>(1, (int64_t(1) << 14) / piece);
  parallel_for(rows * pieces, grain, [=, &plan](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t row = task / pieces, p = 0, q = 0;
      for (int axis = inner - 1; axis >= 0; --axis) {
        const int64_t i = row % plan.extents[axis];
        row /= plan.extents[axis];
        p += i * plan.from[axis];
        q += i * plan.to[axis];
      }
      const int64_t first = (task % pieces) * piece, last = std::min(length, first + piece);
      if (std::is_same_v<From, To> && a == 1 && b == 1) {
        std::memcpy(static_cast<void*>(to + q + first), from + p + first,
                    size_t(last - first) * sizeof(To));
        continue;
      }
      for (int64_t i = first; i < last; ++i) to[q + i * b] = cast<To>(from[p + i * a]);
    }
  });
}

}  // namespace

void strided_copy(const Tensor& from, Tensor& to) {
  check(from.device() == to.device(), "a copy from ", from.device(), " to ", to.device(),
        " must be spelled to()");
  visit_stream(to.device(),
               [&](auto stream) { kernels::copy_elements(stream, plan_copy(from, to), from, to); });
}

void kernels::copy_elements(CpuStream, const CopyPlan& plan, const Tensor& from, Tensor& to) {
  visit_any(from.dtype(), [&]<class From>(Tag<From>) {
    visit_any(to.dtype(), [&]<class To>(Tag<To>) {
      copy_rows<From, To>(plan, from.data<From>(), to.data<To>());
    });
  });
}

}  // namespace fathom
