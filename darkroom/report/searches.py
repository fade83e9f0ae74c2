"""The searches for settings, read from `best.json` and `trials.csv` of each."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.overrides import cell

SMALLER_IS_BETTER = ("loss", "log_loss")


@dataclass(frozen=True)
class Trial:
    """A row of `trials.csv`; `value` is NaN where it failed."""

    number: int
    state: str
    value: float
    params: dict[str, Any]
    epochs: int


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes
    ----------
    name : what was tuned: `cnn`, or `svm on cnn`.
    of : its run and fold, where there are more.
    best : `best.json`.
    trials : in their order.
    """

    name: str
    of: str
    best: dict[str, Any]
    trials: list[Trial]

    @property
    def sign(self) -> int:
        """1 where a smaller value is better, else -1."""
        return 1 if self.best["objective"] in SMALLER_IS_BETTER else -1


def read(paths: Sequence[str]) -> list[Search]:
    """The searches of a data set.

    Parameters
    ----------
    paths : of every `best.json`; `trials.csv` stands beside each.
    """
    found = []
    for path in paths:
        best = json.loads(Path(path).read_text(encoding="utf-8"))
        name = best["model"]
        if "classifier" in best:
            name = f"{best['classifier']} on {name}"
        words = [f"seed {best['seed']}"] if best.get("seed") is not None else []
        words += [best["fold"]] if best["fold"] != "holdout" else []
        with Path(path).with_name("trials.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        trials = [_trial(row, best["space"]) for row in rows]
        found.append(Search(name, ", ".join(words), best, trials))
    return found


def _trial(row: dict[str, str], space: dict[str, Any]) -> Trial:
    params = {}
    for path, values in space.items():
        if isinstance(values, list):
            params[path] = {cell(v): v for v in values}[row[path]]
        else:
            params[path] = float(row[path])
    value = float(row["value"]) if row["value"] and row["state"] != "failed" else math.nan
    return Trial(int(row["number"]), row["state"], value, params, int(row["epochs"]))
