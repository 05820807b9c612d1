"""Writes tests/kernels/loss_values.h: losses and their gradients by autograd, in double precision.

    python tests/reference/losses.py > tests/kernels/loss_values.h

The inputs are the numbers of drawn() below, which tests/kernels/drawn.h draws too.
"""

import torch

B, H, W = 2, 6, 7
TOKENS, CHANNELS = 5, 6


def drawn(seed, *shape):
    """Multiples of 2^-16 in [0, 1): exact in f32 and in every language."""
    count = torch.Size(shape).numel()
    values = []
    for i in range(count):
        x = (i * 2654435761 + seed * 40503 + 12345) & 0xFFFFFFFF
        x ^= x >> 15
        x = (x * 2246822519) & 0xFFFFFFFF
        x ^= x >> 13
        values.append((x >> 16) / 65536)
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


PREDICTION = drawn(1, B, H, W) + 0.25
TARGET = drawn(2, B, H, W) + 0.25
MASK = drawn(3, B, H, W) >= 0.25
INSIDE = torch.zeros(B, H, W, dtype=torch.bool)
INSIDE[0, 1:4, 2:6] = True
INSIDE[1, 0:3, 0:4] = True


def normalized(x, mask):
    valid = x[mask]
    t = valid.median()
    return (x - t) / (valid - t).abs().mean()


def median_residual(p, d, mask):
    return normalized(p, mask) - normalized(d, mask)


def least_squares_residual(p, d, mask):
    x, y = p[mask], d[mask]
    a00, a01, a11, b0, b1 = (x * x).sum(), x.sum(), len(x), (x * y).sum(), y.sum()
    det = a00 * a11 - a01 * a01
    return (a11 * b0 - a01 * b1) / det * p + (a00 * b1 - a01 * b0) / det - d


def mean_absolute(r, mask):
    return r[mask].abs().mean()


def trimmed_quantile(r, mask):
    size = r[mask].abs()
    return size[size < torch.quantile(size.detach(), 0.9)].mean()


def trimmed_smallest(r, mask):
    size = r[mask].abs().sort()[0]
    return size[: int(len(size) * 0.8)].sum() / (2 * len(size))


def half_mean_squared(r, mask):
    return (r[mask] ** 2).mean() / 2


def gradient_matching(r, mask, divisor="level"):
    total = 0
    for k in range(4):
        s = 2**k
        rk, mk = r[::s, ::s], mask[::s, ::s]
        x = ((rk[:, 1:] - rk[:, :-1]).abs() * (mk[:, 1:] & mk[:, :-1])).sum()
        y = ((rk[1:] - rk[:-1]).abs() * (mk[1:] & mk[:-1])).sum()
        n = mk.sum() if divisor == "level" else mask.sum()
        if n > 0:
            total = total + (x + y) / n
    return total


def loss(residual, error, gradient_weight=0, divisor="level"):
    def of_image(p, d, mask):
        r = residual(p, d, mask)
        value = error(r, mask)
        if gradient_weight:
            value = value + gradient_weight * gradient_matching(r, mask, divisor)
        return value

    return of_image


def cutmix(of_image):
    def of_mixed(p, d, mask, inside):
        share = inside.double().mean()
        return (1 - share) * of_image(p, d, mask & ~inside) + share * of_image(p, d, mask & inside)

    return of_mixed


def silog_v2(p, t, mask):
    g = torch.log(t[mask]) - torch.log(p[mask])
    return torch.sqrt((g**2).mean() - 0.5 * g.mean() ** 2)


def silog_zoe(p, t, mask):
    g = torch.log(p[mask] + 1e-7) - torch.log(t[mask] + 1e-7)
    return 10 * torch.sqrt(torch.var(g) + 0.15 * g.mean() ** 2)


def cosine_alignment(f, g):
    cosine = torch.cosine_similarity(f, g, dim=-1)
    kept = cosine <= 0.85
    return (1 - cosine)[kept].mean() if kept.any() else 0 * f.sum()


def emit(name, values):
    text = ", ".join(repr(float(v)) for v in values.reshape(-1))
    print(f"inline const std::vector<double> {name}{{{text}}};")


def record(name, of_image, x, *rest):
    """The loss of every image, and the gradient of loss[0] + loss[1] / 2."""
    x = x.clone().requires_grad_()
    losses = torch.stack([of_image(x[b], *(r[b] for r in rest)) for b in range(len(x))])
    (losses * torch.tensor([1.0, 0.5], dtype=torch.float64)).sum().backward()
    emit(f"k{name}", losses.detach())
    emit(f"k{name}Grad", x.grad)


def main():
    print("#pragma once\n\n#include <vector>\n")
    print("// Written by tests/reference/losses.py with PyTorch in double precision.")
    print("// clang-format off")
    print("namespace fathom::torch_values {\n")
    maps = (PREDICTION, TARGET, MASK)
    plain = loss(median_residual, mean_absolute)
    record("Ssi", plain, *maps)
    record("SsiMatched", loss(median_residual, mean_absolute, 2), *maps)
    record("SsiQuantile", loss(median_residual, trimmed_quantile, 2), *maps)
    record("SsiSmallest", loss(median_residual, trimmed_smallest, 0.5, "image"), *maps)
    record("LeastSquares", loss(least_squares_residual, half_mean_squared), *maps)
    record("LeastSquaresMatched", loss(least_squares_residual, half_mean_squared, 0.5), *maps)
    record("CutMix", cutmix(loss(median_residual, mean_absolute, 2)), *maps, INSIDE)
    record("SilogV2", silog_v2, *maps)
    record("SilogZoe", silog_zoe, *maps)
    student = drawn(4, B, TOKENS, CHANNELS) - 0.375
    teacher = drawn(5, B, TOKENS, CHANNELS) - 0.375
    teacher[0, 0] = student[0, 0] * 2  # above the margin
    teacher[1, 2] = student[1, 2] + 0.0625 * teacher[1, 2]
    record("Cosine", cosine_alignment, student, teacher)
    print("\n}  // namespace fathom::torch_values")


if __name__ == "__main__":
    main()
