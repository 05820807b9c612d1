#include "kernels/position_table.h"

#include <cmath>

#include "core/autograd.h"
#include "core/strided_copy.h"
#include "kernels/resample.h"

namespace fathom {

static AxisTaps axis_taps(int64_t inputs, int64_t outputs, PositionRule rule) {
  switch (rule) {
    case PositionRule::scale_plus_offset: {
      // PyTorch turns a given scale into the step 1 / scale in double, then rounds it.
      const double scale_factor = (double(outputs) + 0.1) / double(inputs);
      return cubic_taps(inputs, outputs, float(1 / scale_factor));
    }
    case PositionRule::size: return cubic_taps(inputs, outputs, float(inputs) / float(outputs));
    case PositionRule::antialias: return antialiased_cubic_taps(inputs, outputs);
  }
  fail("interpolate_positions: unknown rule ", int(rule));
}

// y = table for the class token's row, resampled for the grid below it.
static void interpolate(const Tensor& table, const AxisTaps& rows, const AxisTaps& columns,
                        Tensor& y) {
  const int64_t D = table.dim(1);
  Tensor y_cls = y.narrow(0, 0, 1);
  strided_copy(table.narrow(0, 0, 1), y_cls);
  const Tensor grid =
      table.narrow(0, 1, rows.inputs * columns.inputs).view({1, rows.inputs, columns.inputs, D});
  Tensor y_grid = y.narrow(0, 1, rows.outputs() * columns.outputs())
                      .view({1, rows.outputs(), columns.outputs(), D});
  visit_stream(y.device(),
               [&](auto stream) { kernels::resample(stream, grid, rows, columns, y_grid); });
}

Tensor interpolate_positions(const Tensor& table_in, int64_t ph, int64_t pw, PositionRule rule) {
  check(table_in.rank() == 2 && table_in.dim(0) >= 2,
        "interpolate_positions: the table must be [1 + M * M, D], but is ", table_in.shape());
  const int64_t side = std::lround(std::sqrt(double(table_in.dim(0) - 1)));
  check(side * side == table_in.dim(0) - 1,
        "interpolate_positions: the table must have one row more than a square number, but is ",
        table_in.shape());
  check(ph >= 1 && pw >= 1, "interpolate_positions: the patch grid must be at least 1 x 1, but is ",
        ph, " x ", pw);
  if (ph == side && pw == side) return table_in;

  const Tensor table = table_in.detach().contiguous();
  const AxisTaps rows = axis_taps(side, ph, rule), columns = axis_taps(side, pw, rule);
  Tensor y = empty({1 + ph * pw, table.dim(1)}, table.options());
  interpolate(table, rows, columns, y);
  return record(y, {table_in}, [shape = table.shape(), rows, columns](const Tensor& dy) -> Grads {
    Tensor dtable = empty(shape, dy.options());
    interpolate(dy, transposed(rows), transposed(columns), dtable);
    return {dtable};
  });
}

}  // namespace fathom
