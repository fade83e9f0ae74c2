"""All predictions of a data set in one table, and how good they are.

A run is one classifier on one feature set in one fold. With two classes it predicts the second
from its threshold on (`thresholds`); every score goes by that prediction (`scores`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from darkroom.errors import UserError
from darkroom.evaluate import sets, tables
from darkroom.evaluate.collect import Collected
from darkroom.evaluate.judged import Groups, judge
from darkroom.evaluate.ranking import CHOSEN
from darkroom.evaluate.scores import pooled
from darkroom.evaluate.thresholds import operating_threshold, threshold_of
from darkroom.features import predictions as stored
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.split import splits as places

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Columns of the table at the end, with their digits.
SHOWN = {
    "accuracy": ("accuracy", 3),
    "balanced_accuracy": ("balanced accuracy", 3),
    "roc_auc": ("ROC AUC", 4),
}


class EvaluateDataset(TypedDict):
    """Settings of the stage.

    Attributes
    ----------
    dataset : its name.
    threshold : of two classes, see `thresholds.threshold_of`.
    operating_point : of two classes, see `thresholds.operating_threshold`; None: none.
    notice : a sentence above every prediction, kept with `summary`; empty: none.
    """

    dataset: str
    threshold: float | Literal["accuracy", "balanced_accuracy", "f1"]
    operating_point: Mapping[str, float] | None
    notice: str


def evaluate_dataset(
    predictions: Sequence[str],
    manifest: str,
    splits: str,
    *,
    metrics: str,
    summary: str,
    class_metrics: str,
    thresholds: str,
    abstention: str,
    collected: str,
    cfg: EvaluateDataset,
) -> None:
    """Score every classifier's predictions, with intervals.

    Parameters
    ----------
    predictions : the classifiers' `predictions.parquet`; their order is the tables' order.
    manifest, splits : `manifest.parquet` (for paths) and `splits.parquet` (for groups).
    metrics, summary, class_metrics, thresholds, abstention : the Parquet files to write; a CSV of the same
        name stands beside each. An undefined number is left empty, as are an interval that
        cannot be given and the deviation over one run.
    collected : the data set's own `predictions.parquet` to write.
    cfg : settings.

    Raises
    ------
    UserError
        There is nothing to evaluate, or no threshold can be chosen.
    """
    dataset = cfg["dataset"]
    if not predictions:
        raise UserError(
            f"{dataset}: nothing to evaluate: it has no model, and no feature set with a "
            "classifier; name some in run or in the data set"
        )
    split = places.read_splits(splits)
    groups = Groups.of(split)
    tested: list[tables.Part] = []
    lines: list[dict[str, Any]] = []
    with (
        disk.whole(collected) as file,
        Collected(file, manifest) as together,
        progress(f"{dataset}: evaluate", len(predictions), "predictions") as bar,
    ):
        for path in predictions:
            table, about = stored.read_predictions(path)
            if about["classes"] != split.classes:
                raise ValueError(f"{path} is of other classes than {splits}")
            threshold = threshold_of(table, about, cfg["threshold"])
            wanted = cfg["operating_point"]
            point = None if wanted is None else (operating_threshold(table, about, wanted), wanted)
            p = stored.probabilities(table, about["classes"])
            judged = (table["part"] == "validation").to_numpy()
            least = sets.limit(table["class"].to_numpy(np.int64)[judged], p[judged])
            after = list(table).index("most_probable") + 1
            table.insert(after, "predicted", stored.decide(p, threshold))
            together.add(table, about)
            parts = []
            for name in stored.PARTS:
                own = (table["part"] == name).to_numpy()
                if own.any():
                    rows = table[own]
                    found = judge(
                        rows["class"].to_numpy(np.int64),
                        rows["predicted"].to_numpy(np.int64),
                        p[own],
                        groups.of_rows(rows["row"].to_numpy(np.int64), name, about["run"].fold),
                        least,
                    )
                    operating = None
                    if point is not None and not math.isnan(point[0]):
                        called = stored.decide(p[own], point[0]).astype(np.int64)
                        there = replace(found.rows, predicted=called)
                        operating = there, pooled([there])
                    parts.append(tables.Part(about["run"], name, found, operating))
            told = threshold, cfg["threshold"]
            lines.append(tables.threshold_line(parts, about, told, point))
            tested += parts
            bar.update(1)
    runs = tables.by_run(tested)
    means, by_class, kept = tables.over_runs(tested, split.classes, tables.chosen_by_fold(runs))
    tables.write_table(metrics, runs)
    means.attrs["notice"] = cfg["notice"]
    tables.write_table(summary, means)
    tables.write_table(class_metrics, by_class)
    tables.write_table(abstention, kept)
    two = len(split.classes) == 2
    tables.write_table(thresholds, tables.thresholds(lines if two else []))
    _log_summary(means, dataset)


def _log_summary(summary: pd.DataFrame, dataset: str) -> None:
    """Log the summary: what a person sees at the end of a run."""
    name = "test" if (summary["part"] == "test").any() else "validation"
    rows = summary[summary["part"] == name]
    bounded = rows["accuracy_low"].notna().any()
    lines = [["model", "classifier", "runs", *(title for title, _ in SHOWN.values())]]
    for _, row in rows.iterrows():
        cells = [row["model"], row["classifier"], str(row["runs"])]
        if (row["model"], row["classifier"]) == CHOSEN:
            cells[:2] = ["the best of each fold", "by its validation images"]
        for m, (_, digits) in SHOWN.items():
            value, low, high = (row[f"{m}{end}"] for end in ("", "_low", "_high"))
            cell = "undefined" if np.isnan(value) else f"{value:.{digits}f}"
            if not np.isnan(low):
                cell += f" [{low:.{digits}f}, {high:.{digits}f}]"
            cells.append(cell)
        lines.append(cells)
    width = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    images = f"{rows['images'].max():,} {name} images"
    why = "" if name == "test" else ", as there is no test set"
    log.info("%s: %s%s%s", dataset, images, why, ", 95 % intervals" if bounded else "")
    for line in lines:
        log.info(
            "  %s",
            "  ".join(
                cell.rjust(w) if i == 2 else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(line, width, strict=True))
            ).rstrip(),
        )
