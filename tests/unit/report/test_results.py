"""What several sections derive from the results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from darkroom.evaluate.ranking import CHOSEN
from darkroom.evaluate.tables import chosen_by_fold
from darkroom.report import classes, misclassified, results
from tests.support.report_folder import Folder, Plan


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


def test_with_folds_the_page_looks_at_what_each_fold_chose(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(folds=2, seeds=(0, 1), skill={"head": 0.7, "svm": 0.7}))
    metrics = pd.read_parquet(folder.path("metrics.parquet"))
    judged = metrics["part"] == "validation"
    for fold, best in (("fold-1", "head"), ("fold-2", "svm")):
        own = judged & (metrics["fold"] == fold)
        metrics.loc[own, "balanced_accuracy"] = np.where(
            metrics.loc[own, "classifier"] == best, 0.9, 0.5
        )
    metrics.to_parquet(folder.path("metrics.parquet"), index=False)
    for name in ("summary", "class_metrics"):
        table = pd.read_parquet(folder.path(f"{name}.parquet"))
        table = table[table["model"] != CHOSEN[0]]
        copy = table[table["classifier"] == "svm"].assign(model=CHOSEN[0], classifier=CHOSEN[1])
        pd.concat([table, copy]).to_parquet(folder.path(f"{name}.parquet"), index=False)
    unread = ("output", "figures", "benchmarks", "stages")
    found = results.load(
        **{k: v for k, v in folder.arguments().items() if k not in unread},
        searches=[],
        robustness=None,
    )
    assert chosen_by_fold(metrics) == {"fold-1": ("cnn", "head"), "fold-2": ("cnn", "svm")}
    said = found.predicted(CHOSEN)
    assert set(zip(said["fold"], said["classifier"], strict=True)) == {
        ("fold-1", "head"),
        ("fold-2", "svm"),
    }
    assert found.confusion(CHOSEN).sum() == folder.n  # each image once, whatever the seeds
    section = classes.section(found)
    assert section is not None and section["name"] == "the best of each fold"
    rows = {m.row for m in misclassified.misclassified(found)[0]}
    assert rows <= set(said.loc[said["class"] != said["predicted"], "row"])
