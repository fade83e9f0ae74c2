"""Images that are unlike all others of their data set: other things, empty or broken pictures.

The measure is that of `darkroom.unlikeness`, of each image against the others: 1 less the cosine of
the angle to the fifth nearest. It is of a backbone's features where there are such, else of thumbnails
of 8 × 8 grey pixels: a network that learned from these very images takes other things for its classes.

The limit is where the largest of clean images hardly lies: above the upper quartile, distances to
neighbours fall off about exponentially, so the quartile and the 0.95 quantile give the largest of N
(Gumbel 1958, Statistics of Extremes). `python -m benchmarks.outliers` measures what is found of
planted ones, and of clean images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 2000  # images that each is compared with, a sample where there are more
NEIGHBOUR = 5
UPPER, HIGH = 0.75, 0.95  # quantiles that give how fast the distances fall off
ALARMS = 0.2  # clean images that are called outliers, on average of data sets of any size
GLANCE = 8  # pixels of a side
BLOCK = 512


def glance(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 64) float32: (N, 32, 32) thumbnails as 8 × 8 pixels, less their mean."""
    n, side, _ = thumbnails.shape
    part = side // GLANCE
    small = thumbnails.reshape(n, GLANCE, part, GLANCE, part).mean(axis=(2, 4), dtype=np.float32)
    small = small.reshape(n, -1)
    return np.asarray(small - small.mean(axis=1, keepdims=True), np.float32)


def outliers(features: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The images that are far from all others, the farthest first.

    Parameters
    ----------
    features : (N, D).

    Returns
    -------
    at : (M,) places. unlikeness : (N,) of every image; nothing of fewer than 20.
    """
    n = len(features)
    if n < 4 * NEIGHBOUR:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    x = np.asarray(features, np.float32)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    sample = np.sort(np.random.default_rng(0).permutation(n)[:MOST])
    unlikeness = np.empty(n, np.float32)
    for start in range(0, n, BLOCK):
        alike = x[start : start + BLOCK] @ x[sample].T
        alike[np.arange(start, start + len(alike))[:, None] == sample[None]] = -1  # itself
        unlikeness[start : start + BLOCK] = (
            1 - np.partition(alike, -NEIGHBOUR, axis=1)[:, -NEIGHBOUR]
        )
    upper, high = np.quantile(unlikeness, [UPPER, HIGH])
    mean = (high - upper) / np.log((1 - UPPER) / (1 - HIGH))
    limit = high + mean * np.log(n * (1 - HIGH) / ALARMS)
    order = np.argsort(-unlikeness, kind="stable")
    return order[unlikeness[order] > limit], unlikeness
