"""The rows that a split assigns, and phrases about them for messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from darkroom.machine.units import plural

PARTS = ("train", "validation", "test", "unused")
TRAIN, VALIDATION, TEST, UNUSED = range(4)

Ints = NDArray[np.int64]
Quota = dict[str, Any]
"""Images of a class by part: a number, or `rest`."""


class Split(TypedDict):
    """The settings `split`; config.yaml explains each."""

    given: str | dict[str, str]
    validation: float
    test: float
    folds: int | None
    stratify: bool
    seed: int
    quotas: dict[str, Quota]


@dataclass(frozen=True)
class Rows:
    """The rows to assign to parts.

    Attributes
    ----------
    dataset : name of the data set, for messages.
    classes : class names.
    label : (N,) class of each row.
    unit : (N,) unit of each row, 0 … U-1; rows of a unit stay together.
    given : (N,) index into PARTS, -1 where the source gives none.
    used : (N,) False for exact duplicates whose classes differ, and for copies that are dropped.
    key : (N,) random order.
    grouped : whether there are groups.
    """

    dataset: str
    classes: list[str]
    label: Ints
    unit: Ints
    given: Ints
    used: NDArray[np.bool_]
    key: NDArray[np.uint64]
    grouped: bool


def have(rows: Rows, images: Any, units: Any) -> str:
    """`3 images`, or with groups `30 images in 3 groups`."""
    count = plural(images, "image")
    if units == images:
        return count
    if rows.grouped:
        return f"{count} in {plural(units, 'group')}"
    return f"{count} ({int(units):,} without copies)"


def no_part(part: int) -> str:
    """Note that a part is empty, and its consequence."""
    what = {TEST: "evaluation is on validation only", VALIDATION: "training watches none"}[part]
    return f"there is no {PARTS[part]} set: {what}"
