#include "kernels/ssi_loss.h"

#include "core/autograd.h"
#include "kernels/elementwise.h"
#include "kernels/least_squares.h"
#include "kernels/masked_error.h"
#include "kernels/masks.h"
#include "kernels/normalize_affine.h"

namespace fathom {

static Tensor error_of(const Tensor& r, const Tensor& mask, const SsiOptions& options) {
  switch (options.error) {
    case SsiError::mean_absolute: return masked_mae(r, mask);
    case SsiError::trimmed_quantile:
      return masked_mae(r, trim_mask(r, mask, TrimRule::below_quantile, options.trim));
    case SsiError::trimmed_smallest:
      return scale(masked_mae(r, trim_mask(r, mask, TrimRule::smallest, options.trim), mask), 0.5);
    case SsiError::half_mean_absolute: return scale(masked_mae(r, mask), 0.5);
    case SsiError::half_mean_squared: return scale(masked_mse(r, mask), 0.5);
  }
  fail("ssi_loss: unknown error ", int(options.error));
}

static void check_inputs(const char* op, const Tensor& prediction, const Tensor& target,
                         const Tensor& mask) {
  check(prediction.rank() == 3 && target.shape() == prediction.shape(), op,
        ": prediction and target must be [B, H, W] and of one shape, but are ", prediction.shape(),
        " and ", target.shape());
  check_same_type(op, prediction, target);
  check_masked(op, prediction, mask);
}

SsiLosses ssi_loss(const Tensor& prediction, const Tensor& target_in, const Tensor& mask,
                   const SsiOptions& options) {
  check_inputs("ssi_loss", prediction, target_in, mask);
  const Tensor target = target_in.detach();
  const MaskedStatistics of_prediction = masked_statistics(prediction, mask, options.median);
  const MaskedStatistics of_target = masked_statistics(target, mask, options.median);
  const Tensor usable = usable_images(of_prediction, of_target, options.limits);
  const Tensor compared = mask_images(mask, usable);

  const Tensor r = options.alignment == SsiAlignment::median
                       ? sub(normalize_affine(prediction, compared, of_prediction),
                             normalize_affine(target, compared, of_target))
                       : sub(align_least_squares(prediction, target, compared), target);
  const Tensor error = error_of(r, compared, options);
  Tensor loss = error, gradients;
  if (options.gradient_weight != 0) {
    gradients = gradient_matching(r, compared, options.gradients);
    loss = add(error, scale(gradients, options.gradient_weight));
  }
  return {.loss = loss,
          .error = error.detach(),
          .gradients = gradients.defined() ? gradients.detach() : Tensor(),
          .usable = usable,
          .valid = mask_fraction(compared, prediction.dtype()),
          .degenerate = sub(full(usable.shape(), 1, usable.options()), usable)};
}

SsiLosses cutmix_ssi_loss(const Tensor& prediction, const Tensor& target, const Tensor& mask,
                          const Tensor& inside, const SsiOptions& options) {
  check_inputs("cutmix_ssi_loss", prediction, target, mask);
  check_masked("cutmix_ssi_loss", prediction, inside);
  const Tensor outside = mask_and_not(full(inside.shape(), 1, inside.options()), inside);
  const SsiLosses a = ssi_loss(prediction, target, mask_and(mask, outside), options);
  const SsiLosses b = ssi_loss(prediction, target, mask_and(mask, inside), options);

  const Tensor area_a = mask_fraction(outside, prediction.dtype());
  const Tensor area_b = mask_fraction(inside, prediction.dtype());
  const auto by_area = [&](const Tensor& of_a, const Tensor& of_b) {
    return of_a.defined() ? add(mul(area_a, of_a), mul(area_b, of_b)) : Tensor();
  };
  const auto there = [&](const Tensor& region) {
    return usable_images(region, prediction.dtype(), 1);
  };
  return {.loss = by_area(a.loss, b.loss),
          .error = by_area(a.error, b.error),
          .gradients = by_area(a.gradients, b.gradients),
          .usable = sub(add(a.usable, b.usable), mul(a.usable, b.usable)),  // a or b
          .valid = add(a.valid, b.valid),
          .degenerate = add(mul(a.degenerate, there(outside)), mul(b.degenerate, there(inside)))};
}

}  // namespace fathom
