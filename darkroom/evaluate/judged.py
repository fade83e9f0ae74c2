"""All figures of what a classifier predicts of some rows, by one way for a run and for new pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluate import doubt
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.scores import Scores, pooled
from darkroom.split.splits import Splits

if TYPE_CHECKING:
    import pandas as pd

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """What is known of some predictions.

    Attributes
    ----------
    rows : what scores need of them. scores : with their intervals.
    doubt : how sure they are, row by row.
    decisions : what `doubt.measured` measures of that.
    """

    rows: RunRows
    scores: Scores
    doubt: doubt.Doubt
    decisions: dict[str, float]


def judge(
    truth: Codes,
    predicted: Codes,
    probabilities: NDArray[np.float32],
    group: Codes,
    set_from: float,
) -> Judged:
    """Score predictions.

    Parameters
    ----------
    truth, predicted, group : (N,), at least one row.
    probabilities : (N, K).
    set_from : probability from which on a class is in the set of a row, see `sets.limit`.
    """
    rows = RunRows.of(truth, predicted, probabilities, group)
    sure = doubt.Doubt.of(truth, predicted, probabilities, group, set_from)
    return Judged(rows, pooled([rows]), sure, doubt.measured([sure]))


@dataclass(frozen=True)
class Groups:
    """The group of each row of a split; `row` ascends."""

    row: Codes
    code: Codes
    folds: pd.DataFrame

    @classmethod
    def of(cls, split: Splits) -> Groups:
        """The groups of a split."""
        import pandas as pd

        table = split.table.sort_values("row")
        code, _ = pd.factorize(table["group"])
        return cls(table["row"].to_numpy(np.int64), code.astype(np.int64), table[split.folds])

    def of_rows(self, rows: Codes, part: str, fold: str) -> Codes:
        """The group of each row of a part of a fold."""
        at = np.minimum(np.searchsorted(self.row, rows), len(self.row) - 1)
        if (self.row[at] != rows).any() or (self.folds[fold].to_numpy()[at] != part).any():
            raise ValueError(f"predictions of rows that are not {part} rows of the split")
        return self.code[at]
