"""The rows that all checks look at: a sample of those that train the models and that judge them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from darkroom.images import store
from darkroom.images.joined import forget
from darkroom.machine import parquet_file
from darkroom.split.splits import Splits, read_splits

if TYPE_CHECKING:
    import pandas as pd

MOST = 2000
"""Rows of a part and fold that are looked at: they tell a balanced accuracy within about 0.02."""

BLOCK = 64  # images that are mapped at a time


@dataclass(frozen=True)
class Sample:
    """Rows of a data set, ascending.

    Attributes
    ----------
    about : (n) their lines of the manifest.
    label : (n,) classes. group : (n,) codes.
    classes : names.
    part : that is judged on, `test` or `validation`.
    folds : of each fold, the places of the rows to train and to judge on.
    all : rows that train or judge in any fold, of which these are a sample.
    root : folder of the files.
    images : the prepared images.
    place : (n,) of each row in them.
    """

    about: pd.DataFrame
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    classes: list[str]
    part: str
    folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
    all: int
    root: Path
    images: store.Images
    place: NDArray[np.int64]

    def blocks(self) -> Iterator[NDArray[np.uint8]]:
        """(B, H, W, C) of all rows in order."""
        for start in range(0, len(self.place), BLOCK):
            yield np.asarray(self.images.images[self.place[start : start + BLOCK]])
        forget(self.images.images)


def draw(manifest: str, splits: str, images: str, source: str, seed: int = 0) -> Sample:
    """Draw the rows: up to `MOST` of each part and fold, of each class its share.

    Parameters
    ----------
    manifest, splits, images, source : paths as in docs/formats.md.
    """
    import pandas as pd

    split = read_splits(splits)
    table = split.table.sort_values("row").reset_index(drop=True)
    parts = {str(p) for fold in split.folds for p in table[fold].unique()}
    part = "test" if "test" in parts else "validation"
    random = np.random.default_rng(seed)
    chosen = [
        [
            _some(np.flatnonzero((table[fold] == name).to_numpy()), table, random)
            for name in ("train", part)
        ]
        for fold in split.folds
    ]
    taken = np.unique(np.concatenate([rows for pair in chosen for rows in pair]))
    own = table.iloc[taken]
    opened = store.open_images(images)
    originals = np.flatnonzero(opened.variant == 0)
    rows = own["row"].to_numpy(np.int64)
    place = originals[np.searchsorted(opened.row[originals], rows)]
    about = parquet_file.frame(manifest).set_index("row").loc[rows].reset_index()
    code, _ = pd.factorize(own["group"])
    return Sample(
        about=about,
        label=own["class"].to_numpy(np.int64),
        group=code.astype(np.int64),
        classes=split.classes,
        part=part,
        folds=[(np.searchsorted(taken, a), np.searchsorted(taken, b)) for a, b in chosen],
        all=_used(split, part),
        root=Path(json.loads(Path(source).read_text(encoding="utf-8"))["root"]),
        images=opened,
        place=place,
    )


def _used(split: Splits, part: str) -> int:
    """Rows that train or judge in any fold."""
    used = split.table[split.folds].isin(["train", part]).any(axis=1)
    return int(used.sum())


def _some(
    rows: NDArray[np.int64], table: pd.DataFrame, random: np.random.Generator
) -> NDArray[np.int64]:
    """At most `MOST` of the rows, of each class its share, ascending."""
    if len(rows) <= MOST:
        return rows
    order = random.permutation(rows)
    label = table["class"].to_numpy(np.int64)[order]
    by_class = np.argsort(label, kind="stable")
    every = np.linspace(0, len(rows) - 1, MOST).astype(np.int64)
    return np.sort(order[by_class[every]])
