"""NumPy values that tests/train/eval/ checks: metrics, alignments and crops on real pairs.

    python tests/reference/depth_metrics.py SHARED_DATA

Prints the rows of the table in tests/train/eval/compare_test.cpp. The predictions are made from the
truth by a formula that needs no network, so both sides can compute them: see `distorted`.
"""

import pathlib
import sys

import cv2
import numpy as np


def metrics(z, y):
    """Section "compute_errors" of ZoeDepth, whose numbers papers report."""
    ratio = np.maximum(z / y, y / z)
    e = np.log(y) - np.log(z)
    return [
        np.mean(np.abs(z - y) / z), np.mean((z - y) ** 2 / z), np.sqrt(np.mean((z - y) ** 2)),
        np.sqrt(np.mean(e ** 2)), np.mean(np.abs(np.log10(z) - np.log10(y))),
        100 * np.sqrt(np.mean(e ** 2) - np.mean(e) ** 2),
        np.mean(ratio < 1.25), np.mean(ratio < 1.25 ** 2), np.mean(ratio < 1.25 ** 3),
    ]


def distorted(z):
    """A wrong disparity: the truth through a root, a tilt along the flat index, and ripples."""
    i = np.arange(z.size, dtype=np.float64).reshape(z.shape)
    root = np.sqrt(1 / np.where(z > 0, z, 1))
    return (3 * root + 1.5 * i / z.size + 0.8 * (i % 17) / 17).astype(np.float32)


def least_squares(p, g):
    s, t = np.linalg.lstsq(np.stack([p, np.ones_like(p)], 1), g, rcond=None)[0]
    return s, t


def garg(h, w):
    return (int(0.40810811 * h), int(0.99189189 * h), int(0.03594771 * w), int(0.96405229 * w))


def rows(shared):
    pairs = shared / "pairs"

    def png(name, scale):  # as the evaluation keeps it: in single precision
        stored = cv2.imread(str(pairs / name), cv2.IMREAD_UNCHANGED)
        return (stored * scale).astype(np.float32).astype(np.float64)

    for name, truth, cap, crop in [
        ("tum_fr1/TUM_depth.png", png("tum_fr1/TUM_depth.png", 1 / 5000), 10, "none"),
        ("icl_nuim_livingroom/depth_2.png", png("icl_nuim_livingroom/depth_2.png", 1 / 5000), 10,
         "eigen_nyu"),
        ("kitti/depth_0000000005.png", png("kitti/depth_0000000005.png", 1 / 256), 80, "garg"),
    ]:
        h, w = truth.shape
        box = {"none": (0, h, 0, w), "eigen_nyu": (45, 471, 41, 601), "garg": garg(h, w)}[crop]
        mask = np.zeros(truth.shape, bool)
        mask[box[0]:box[1], box[2]:box[3]] = True
        mask &= (truth > 1e-3) & (truth < cap)
        z = truth[mask]
        p = distorted(truth)[mask].astype(np.float64)
        s, t = least_squares(p, 1 / z)
        q = np.maximum(s * p + t, 1 / cap)
        for mode, values in ("A", metrics(1 / z, q)), ("B", metrics(z, 1 / q)):
            print(name, cap, crop, mode, z.size, repr(float(s)), repr(float(t)),
                  ", ".join(repr(float(v)) for v in values))
    fast = shared / "reference/fastdepth"
    z = np.load(fast / "depth.npy").astype(np.float64).ravel()
    y = np.load(fast / "pred.npy").astype(np.float64).ravel()
    print("fastdepth", ", ".join(repr(float(v)) for v in metrics(z, y)))


if __name__ == "__main__":
    rows(pathlib.Path(sys.argv[1]))
