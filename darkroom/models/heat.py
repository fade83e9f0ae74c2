"""Where a model looked: how much its probability falls when a part of the picture is covered."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

SIDES = (12, 10, 8, 7, 6, 5, 4)
"""Parts along a side, the finest first that the limit allows."""


def grid(cost: float, limit: float, shape: tuple[int, ...], finest: int = SIDES[0]) -> int:
    """Parts along a side whose covering stays within the limit; 0: not even the coarsest.

    Parameters
    ----------
    cost : of the model for one picture. limit : of the map, in the same unit.
    shape : (H, W, C) of the picture.
    finest : most parts along a side.
    """
    allowed = min(finest, *shape[:2])
    return next((n for n in SIDES if n * n * cost <= limit and n <= allowed), 0)


def occlusion(
    ask: Callable[[np.ndarray], np.ndarray],
    pixels: np.ndarray,
    number: int,
    side: int,
    until: float = math.inf,
    rows: int = 1,
) -> np.ndarray | None:
    """The fall of a class's probability by covered part.

    After Zeiler and Fergus (2014), Visualizing and understanding convolutional networks: each part
    in turn is painted with the picture's mean colour.

    Parameters
    ----------
    ask : from (B, H, W, C) uint8 to (B, K) probabilities.
    pixels : (H, W, C) uint8.
    number : of the class.
    side : parts along a side.
    until : time (`time.monotonic`) when it is given up.
    rows : of parts that are predicted at a time.

    Returns
    -------
    (side, side) float32, from 0 to 1; None where the time is up.
    """
    height, width = pixels.shape[:2]
    y = np.linspace(0, height, side + 1).round().astype(int)
    x = np.linspace(0, width, side + 1).round().astype(int)
    mean = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    parts = [(i, j) for i in range(side) for j in range(side)]
    after = []
    before = ask(pixels[None])[0, number]
    for start in range(0, len(parts), rows * side):
        if time.monotonic() > until:
            return None
        some = parts[start : start + rows * side]
        covered = np.repeat(pixels[None], len(some), axis=0)
        for image, (i, j) in zip(covered, some, strict=True):
            image[y[i] : y[i + 1], x[j] : x[j + 1]] = mean
        after.append(ask(covered)[:, number])
    fall = before - np.concatenate(after)
    return np.asarray(np.maximum(fall, 0), np.float32).reshape(side, side)
