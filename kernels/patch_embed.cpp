#include "kernels/patch_embed.h"

#include "kernels/conv2d.h"

namespace fathom {

Tensor patch_embed(const Tensor& image, const Tensor& weight, const Tensor& bias) {
  check(weight.rank() == 4 && weight.dim(1) == weight.dim(2),
        "patch_embed: weight must be [D, p, p, 3], got ", weight.shape());
  const int64_t p = weight.dim(1);
  check(image.rank() == 4 && image.dim(1) % p == 0 && image.dim(2) % p == 0, "patch_embed: image ",
        image.shape(), " must be [B, H, W, 3] with H and W multiples of ", p);
  const Tensor map = conv2d(image, weight, bias, {.stride = p});
  return map.view({map.dim(0), map.dim(1) * map.dim(2), map.dim(3)});
}

}  // namespace fathom
