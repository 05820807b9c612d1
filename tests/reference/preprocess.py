"""Photo to network input and prediction to photo size, by OpenCV, as the official scripts do it."""

import math

import cv2
import numpy as np
import torch
from torch.nn import functional as F

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def input_size(height, width, target=518):
    """The shorter side at least `target`, both multiples of 14, ties to even."""
    scale = max(target / height, target / width)

    def side(n):
        rounded = int(np.round(scale * n / 14)) * 14
        return rounded if rounded >= target else math.ceil(scale * n / 14) * 14

    return side(height), side(width)


def load(path, target=518):
    """Returns the input [1,3,H,W] in f32 and the photo's own (height, width)."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"OpenCV cannot read {path}")
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) / 255.0  # float64: overshoot is kept
    height, width = input_size(*rgb.shape[:2], target)
    x = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_CUBIC)
    x = ((x - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(x)), rgb.shape[:2]


def to_photo(prediction, size, version):
    """[1,h,w] to the photo's size: V1 resizes with half-pixel centres, V2 with aligned corners."""
    y = F.interpolate(prediction[:, None].float(), size, mode="bilinear",
                      align_corners=version == 2)
    return y[0, 0].numpy()
