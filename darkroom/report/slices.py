"""The section of slices: whether what is reported is worse on some of the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from darkroom.evaluate.slices import Slice, slices
from darkroom.report.caveat import Caveat, Weight
from darkroom.report.drawing import plain
from darkroom.report.results import Results

# What the numbers of a property are.
UNITS = {"size": "pixels (root of the area)", "brightness": "of 255"}


def section(results: Results) -> list[dict[str, Any]]:
    """A line of each slice."""
    return shown(_found(results))


def caveats(results: Results) -> list[Caveat]:
    """The slice that is worst, where it is so beyond chance."""
    worse = [one for one in _found(results) if one.worse]
    if not worse:
        return []
    one = worse[0]
    return [
        Caveat(
            Weight.LIMIT,
            "Worse on some images",
            f"{sentence(one, f'{results.part} images')}.",
            "slices",
            "" if len(worse) == 1 else f"So it is with {len(worse) - 1} more of the slices.",
        )
    ]


def shown(found: Sequence[Slice]) -> list[dict[str, Any]]:
    """What `slices.html` shows of some slices."""
    return [{"slice": one, "name": _name(one)} for one in found]


def sentence(one: Slice, images: str) -> str:
    """How much worse a slice is.

    Parameters
    ----------
    images : what is counted, as `test images`.
    """
    return (
        f"{100 * one.accuracy:.0f} of 100 {images} with {plain(_name(one), 60)} are called "
        f"rightly, {100 * one.less:.0f} fewer than of the others of the same classes"
    )


def _name(one: Slice) -> str:
    unit = UNITS.get(one.by)
    return f"{one.by} {one.name} {unit}" if unit else f"{one.by} {one.name}"


def _found(results: Results) -> list[Slice]:
    if "slices" not in results.derived:
        results.derived["slices"] = _reckoned(results)
    kept: list[Slice] = results.derived["slices"]
    return kept


def _reckoned(results: Results) -> list[Slice]:
    import pandas as pd

    if results.reported is None:
        return []
    right = results.right(results.reported)
    if right.empty:
        return []
    about = results.split.table.set_index("row").loc[right.index]
    group, names = pd.factorize(about["group"])
    files = results.manifest.set_index("row").loc[right.index]
    area = (files["width"] * files["height"]).to_numpy(np.float64, na_value=np.nan)
    properties = {"size": np.sqrt(area)}
    mean = pd.Series(
        results.images.mean[results.originals].mean(axis=1),
        index=results.images.row[results.originals],
    )
    properties["brightness"] = mean.reindex(right.index).to_numpy(np.float64)
    return slices(
        right.to_numpy(np.float64),
        about["class"].to_numpy(np.int64),
        group.astype(np.int64),
        [str(name) for name in names],
        properties,
    )
