"""A thumbnail of 8 × 8 pixels: large and simple differences, such as a tag in a corner.

It may tell rightly, as sky from forest: so it is a comparison, and a warning only near the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from darkroom.audit.check import Check
from darkroom.audit.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

SIDE = 8
LEAST = 8 * SIDE  # pixels of a side, below which a thumbnail is much of the image
NAMES = np.array(
    [
        ["the top left corner", "the top", "the top right corner"],
        ["the left", "the middle", "the right"],
        ["the bottom left corner", "the bottom", "the bottom right corner"],
    ]
)


def find(sample: Sample) -> pd.DataFrame | None:
    """The pixels of the thumbnail, named by the part of the image."""
    import cv2
    import pandas as pd

    shape = sample.images.images.shape
    if min(shape[1:3]) < LEAST:
        return None
    third = np.array([0, 0, 1, 1, 1, 1, 2, 2])
    columns = np.repeat(NAMES[third][:, third].ravel(), shape[3])
    small = [
        cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
        for block in sample.blocks()
        for image in block
    ]
    return pd.DataFrame(small, columns=columns)


CHECK = Check(
    name="thumbnail",
    title="A thumbnail of 8 × 8 pixels",
    description="The image at 8 × 8 pixels.",
    near=0.9,
    find=find,
)
