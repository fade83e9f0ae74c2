"""The outermost pixels: marks, frames and paddings of a source, where no object is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from darkroom.audit.check import Check
from darkroom.audit.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

PIECES = 8  # of each side
LEAST = 24  # pixels of a side, below which the border is much of the image


def find(sample: Sample) -> pd.DataFrame | None:
    """Mean and range of each piece of the border, two pixels wide."""
    import pandas as pd

    if min(sample.images.images.shape[1:3]) < LEAST:
        return None
    names = [f"the {side} edge" for side in ("top", "bottom", "left", "right")]
    columns = [name for name in names for _ in range(2 * PIECES * sample.images.images.shape[3])]
    return pd.DataFrame(np.concatenate([border(b) for b in sample.blocks()]), columns=columns)


def border(images: np.ndarray) -> np.ndarray:
    """(B, 4 · 2 · PIECES · C) mean and range along each side of (B, H, W, C)."""
    found = []
    sides = images[:, :2], images[:, -2:], images[:, :, :2], images[:, :, -2:]
    for side, along in zip(sides, (2, 2, 1, 1), strict=True):
        for piece in np.array_split(side, PIECES, axis=along):
            found += [piece.mean(axis=(1, 2)), np.ptp(piece, axis=(1, 2))]
    return np.concatenate(found, axis=1).astype(np.float32)


CHECK = Check(
    name="border",
    title="The border",
    description="The outermost two pixels on each side.",
    near=0.7,
    find=find,
)
