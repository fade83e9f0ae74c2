"""Read a split: class and part of each row, and the rows to train on.

`darkroom.split.plan` makes the split. It is a separate module, so an edit there changes the code
digest of no other stage.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from darkroom.machine import parquet_file

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class Balance(TypedDict):
    """Settings that choose the images and variants to train on.

    Attributes
    ----------
    balance : as in `training_rows`.
    balance_seed : seed of its samples.
    """

    balance: int | str | None
    balance_seed: int


@dataclass(frozen=True)
class Splits:
    """A split as read from `splits.parquet`.

    Attributes
    ----------
    table : one row per usable image of a chosen class, ascending by `row`; docs/formats.md
        lists the columns.
    classes : final class names; `class` is an index into them.
    folds : names of the fold columns: `holdout`, or `fold-1` ….
    notes : notes for log and report.
    """

    table: pd.DataFrame
    classes: list[str]
    folds: list[str]
    notes: list[str]

    def lookup(self, rows: ArrayLike, fold: str) -> tuple[NDArray[np.object_], NDArray[np.int16]]:
        """Part and class of each row, in the order of `rows`.

        Parameters
        ----------
        rows : (M,) integers, rows of the manifest; repeats are fine.
        fold : a name in `folds`.

        Returns
        -------
        part : (M,) object array of `train`, `validation`, `test`, `unused`; "" for a row
            that is not in the split (its class is not chosen).
        class : (M,) int16; -1 for such a row.

        Raises
        ------
        KeyError
            The split has no such fold.
        """
        if fold not in self.folds:
            raise KeyError(f"no fold {fold!r}; the split has {', '.join(self.folds)}")
        wanted = np.asarray(rows, dtype=np.int64)
        own = self.table["row"].to_numpy(dtype=np.int64)
        part = np.full(wanted.shape, "", dtype=object)
        label = np.full(wanted.shape, -1, dtype=np.int16)
        if len(own):
            at = np.minimum(np.searchsorted(own, wanted), len(own) - 1)
            known = own[at] == wanted
            part[known] = self.table[fold].to_numpy(dtype=object)[at[known]]
            label[known] = self.table["class"].to_numpy(dtype=np.int16)[at[known]]
        return part, label


def read_splits(path: str) -> Splits:
    """Read `splits.parquet`."""
    table = parquet_file.read(path)
    meta = json.loads((table.schema.metadata or {})[b"darkroom"])
    frame = table.replace_schema_metadata(None).to_pandas()
    return Splits(frame, list(meta["classes"]), list(meta["folds"]), list(meta["notes"]))


def training_rows(
    row: np.ndarray,
    variant: np.ndarray,
    part: np.ndarray,
    label: np.ndarray,
    *,
    balance: int | str | None,
    seed: int,
) -> np.ndarray:
    """Choose the images and variants to train on, for training, features and classifiers alike.

    Parameters
    ----------
    row : (M,) int, row of each candidate in the manifest.
    variant : (M,) int, 0 for an original, else the number of its variant.
    part : (M,) str, part of each candidate's parent in the fold.
    label : (M,) int, class of each candidate.
    balance : None: all. n: up to n of each class, first a sample of its originals, then of
        its variants. `largest`: n is the number of originals of the largest class.
    seed : of the samples, which do not depend on the order of the candidates.

    Returns
    -------
    (K,) int64, ascending positions of the chosen candidates; all have part `train`.
    """
    train = np.flatnonzero(np.asarray(part) == "train").astype(np.int64)
    if balance is None or not len(train):
        return train
    row, variant, label = np.asarray(row), np.asarray(variant), np.asarray(label)
    train = train[np.lexsort((variant[train], row[train]))]
    original = variant[train] == 0
    classes, counts = np.unique(label[train][original], return_counts=True)
    wanted = int(counts.max()) if balance == "largest" else int(balance)
    chosen = []
    for number in classes:
        of_class = label[train] == number
        random = np.random.default_rng([seed, int(number)])
        first = random.permutation(train[of_class & original])[:wanted]
        then = random.permutation(train[of_class & ~original])[: wanted - len(first)]
        chosen += [first, then]
        if (got := len(first) + len(then)) < wanted:
            log.info("class %d: %d images and variants of %d wanted", number, got, wanted)
    return np.sort(np.concatenate(chosen))
