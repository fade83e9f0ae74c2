"""What several sections derive from the results."""

from __future__ import annotations

import pandas as pd

from darkroom.report import results


def a_split() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": [0, 1, 2, 3, 4, 5],
            "class": [0, 0, 1, 0, 1, 0],
            "holdout": ["train", "train", "train", "test", "test", "unused"],
        }
    )


def test_baseline_is_the_training_majority_on_the_test_rows() -> None:
    assert results.baseline(a_split(), ["holdout"], "test") == 0.5
    assert results.baseline(a_split(), ["holdout"], "validation") is None


def test_counts_by_class_and_part() -> None:
    table = results.counts(a_split(), ["a", "b", "empty"], ["holdout"])
    assert table.loc["a"].tolist() == [2, 0, 1, 1]
    assert table.loc["b"].tolist() == [1, 0, 1, 0]
    assert table.loc["empty"].sum() == 0
