"""Images that are unlike all others of their data set: other things, empty or broken pictures.

The measure is that of `darkroom.unlikeness`, of each image against the others: 1 less the cosine of
the angle to the fifth nearest. Those beyond Tukey's outer fence (1977, Exploratory Data Analysis) are
told. `python -m benchmarks.outliers` measures what is found of planted ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 2000  # images that each is compared with, a sample where there are more
NEIGHBOUR = 5
FENCE = 3.0  # quartile ranges above the upper quartile
BLOCK = 512


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
    low, high = np.quantile(unlikeness, [0.25, 0.75])
    order = np.argsort(-unlikeness, kind="stable")
    return order[unlikeness[order] > high + FENCE * (high - low)], unlikeness
