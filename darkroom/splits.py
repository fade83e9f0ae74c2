"""The split as every later stage reads it: class and place of each row.

How it is made stands in `darkroom.partition`: an edit there changes no stage's code but
the split's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Splits:
    """A split as read from `splits.parquet`.

    Attributes
    ----------
    table : one row each usable image of a chosen class, ascending by `row`; columns as in
        docs/formats.md.
    classes : final class names; `class` is an index into them.
    folds : names of the fold columns: `holdout`, or `fold-1` ….
    notes : sentences for log and report.
    """

    table: pd.DataFrame
    classes: list[str]
    folds: list[str]
    notes: list[str]

    def lookup(self, rows: ArrayLike, fold: str) -> tuple[NDArray[np.object_], NDArray[np.int16]]:
        """Part and class of each row, in the order asked.

        Parameters
        ----------
        rows : (M,) integers, rows of the manifest; repeats are fine.
        fold : a name in `folds`.

        Returns
        -------
        part : (M,) object array of `train`, `validation`, `test`, `unused`; "" for a row
            that the split does not hold (of a class not chosen).
        class : (M,) int16; -1 for such a row.

        Raises
        ------
        KeyError
            For a fold that the split does not have.
        """
        if fold not in self.folds:
            raise KeyError(f"no fold {fold!r}; the split has {', '.join(self.folds)}")
        asked = np.asarray(rows, dtype=np.int64)
        own = self.table["row"].to_numpy(dtype=np.int64)
        part = np.full(asked.shape, "", dtype=object)
        label = np.full(asked.shape, -1, dtype=np.int16)
        if len(own):
            at = np.minimum(np.searchsorted(own, asked), len(own) - 1)
            known = own[at] == asked
            part[known] = self.table[fold].to_numpy(dtype=object)[at[known]]
            label[known] = self.table["class"].to_numpy(dtype=np.int16)[at[known]]
        return part, label


def read_splits(path: str) -> Splits:
    """Read `splits.parquet`."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    meta = json.loads((table.schema.metadata or {})[b"darkroom"])
    frame = table.replace_schema_metadata(None).to_pandas()
    return Splits(frame, list(meta["classes"]), list(meta["folds"]), list(meta["notes"]))
