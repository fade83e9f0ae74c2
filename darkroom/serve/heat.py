"""Where a model looked: how much its probability falls when a part of the picture is covered."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

SIDES = (12, 10, 8, 7, 6, 5, 4)
"""Parts along a side, the finest first that the time allows."""


def grid(seconds: float, limit: float, shape: tuple[int, ...]) -> int:
    """Parts along a side whose covering stays within the time; 0: not even the coarsest.

    Parameters
    ----------
    seconds : of the model for one picture. limit : seconds for the map.
    shape : (H, W, C) of the picture.
    """
    fits = (n for n in SIDES if n * n * seconds <= limit and n <= min(shape[:2]))
    return next(fits, 0)


def occlusion(
    ask: Callable[[np.ndarray], np.ndarray],
    pixels: np.ndarray,
    number: int,
    side: int,
    until: float,
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

    Returns
    -------
    (side, side) float32, from 0 to 1; None where the time is up.
    """
    height, width = pixels.shape[:2]
    rows = np.linspace(0, height, side + 1).round().astype(int)
    columns = np.linspace(0, width, side + 1).round().astype(int)
    mean = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    before = ask(pixels[None])[0, number]
    fall = np.zeros((side, side), np.float32)
    for i in range(side):
        if time.monotonic() > until:
            return None
        covered = np.repeat(pixels[None], side, axis=0)
        for j in range(side):
            covered[j, rows[i] : rows[i + 1], columns[j] : columns[j + 1]] = mean
        fall[i] = before - ask(covered)[:, number]
    return np.maximum(fall, 0)
