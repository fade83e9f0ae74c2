"""The mean colour: exposure, white balance or stain of a source.

It may tell rightly, as sky from forest: so it is a comparison, and a warning only near the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from darkroom.audit.check import Check
from darkroom.audit.sample import Sample

if TYPE_CHECKING:
    import pandas as pd


def find(sample: Sample) -> pd.DataFrame:
    """Mean of each channel, brightness, and contrast, from the stored sums."""
    import pandas as pd

    mean = sample.images.mean[sample.place]
    square = sample.images.mean_square[sample.place].mean(axis=1)
    names = ("red", "green", "blue") if mean.shape[1] == 3 else ("brightness",)
    out = pd.DataFrame(mean, columns=list(names))
    out["brightness"] = mean.mean(axis=1)
    out["contrast"] = np.sqrt(np.maximum(square - mean.mean(axis=1) ** 2, 0))
    if mean.shape[1] == 3:  # what is left of a colour without brightness
        for i, name in enumerate(names):
            out.insert(len(out.columns), f"{name} tint", mean[:, i] - mean.mean(axis=1))
    return out


CHECK = Check(
    name="color",
    title="The mean colour",
    description="Mean of each channel, brightness and contrast.",
    near=0.9,
    find=find,
)
