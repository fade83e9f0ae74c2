"""What the results or the export that a classifier stands in say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.machine import parquet_file
from darkroom.names import HEAD

if TYPE_CHECKING:
    import pandas as pd

    from darkroom.models.trained import Trained


def threshold(path: str, trained: Trained) -> tuple[float, str] | None:
    """The threshold of a run and how it was chosen, from a data set's `thresholds.parquet`.

    Returns
    -------
    The mean of the folds' where it has some; None where the file is not there or does not name the run.
    """
    if not Path(path).is_file():
        return None
    from darkroom.evaluate.tables import read_table  # a model that stands alone needs no SciPy

    own = _rows(read_table(path), trained)
    return None if own.empty else (float(own["threshold"].mean()), str(own["how"].iloc[0]))


def set_from(trained: Trained) -> float | None:
    """The probability from which on a class is in the set of a picture; None where nothing tells.

    Of several folds it is the lowest, which makes the sets rather larger.
    """
    if said := _exported(trained):
        least = said.get("set_from")
        return None if least is None else float(least)
    path = results_of(trained) / "metrics.parquet"
    if not path.is_file():
        return None
    from darkroom.evaluate.tables import read_table

    own = _rows(read_table(path), trained)
    own = own[own["part"] == "validation"]
    return float(own["set_from"].min()) if len(own) and "set_from" in own else None


def _rows(table: pd.DataFrame, trained: Trained) -> pd.DataFrame:
    """The rows of a table that are of a classifier, or of each of its folds."""
    run, folds = trained.run, {member.run.fold for member in trained.each}
    own = (table["feature_set"] == run.feature_set) & (table["classifier"] == run.classifier)
    return table[own & table["fold"].isin(folds)]


def results_of(trained: Trained) -> Path:
    """The results that a classifier stands in: `results/{dataset}`, where it has its place there."""
    above = Path(trained.files[0]).absolute().parents
    return above[min(2 if trained.run.classifier == HEAD else 3, len(above) - 1)]


def threshold_beside(trained: Trained) -> tuple[float, str]:
    """The threshold of a run by its own results or export, and how it was chosen; else 0.5."""
    if said := _exported(trained):
        return float(said["threshold"]), said["threshold_chosen_for"] or ""
    return threshold(str(results_of(trained) / "thresholds.parquet"), trained) or (0.5, "")


def notice(trained: Trained) -> str:
    """The sentence that its data set wants above every prediction; empty where it wants none."""
    if said := _exported(trained):
        return str(said.get("notice", ""))
    summary = results_of(trained) / "summary.parquet"
    if not summary.is_file():
        return ""
    return str(parquet_file.frame(summary).attrs.get("notice", ""))


def _exported(trained: Trained) -> dict[str, Any]:
    """What the folder of an export says; empty of another."""
    file = Path(trained.files[0]).with_name("preprocessing.json")
    said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return said
