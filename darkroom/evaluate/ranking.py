"""Which result is the best by the validation rows: the one that is reported, and predicts.

It is ranked by balanced accuracy, then by log loss; the test rows never choose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str]  # model, classifier

# In `summary`: in each fold the best by that fold's own validation rows. No model has this name.
CHOSEN: Key = ("*", "*")


def rank(balanced_accuracy: float, log_loss: float) -> tuple[float, float]:
    """What to sort by, the best first; an unknown score comes last.

    Scores that differ beyond six digits are equal: a sum in another order gives as much.
    """
    score, loss = round(float(balanced_accuracy), 6), round(float(log_loss), 6)
    if not math.isfinite(score):
        return math.inf, math.inf
    return -score, loss if math.isfinite(loss) else math.inf


@dataclass(frozen=True)
class Choice:
    """The model and classifier that the report looks at closely.

    Attributes
    ----------
    key : model and classifier.
    ranking : all keys, the chosen one first.
    by : `validation`, `only` (there was nothing to choose), or `first` (no validation
        rows: the first one named, since choosing by the test would spoil it).
    """

    key: Key
    ranking: list[Key]
    by: str


def choose(summary: pd.DataFrame) -> Choice | None:
    """The best model and classifier over seeds and folds.

    With folds, the validation rows of one are test rows of others: the best over all of them
    owes a part of its test scores to luck. What the choice is worth is told by `CHOSEN`.

    Parameters
    ----------
    summary : the table of this name, in the order of the configuration.
    """
    keys = list(dict.fromkeys(zip(summary["model"], summary["classifier"], strict=True)))
    keys = [key for key in keys if key != CHOSEN]
    if not keys:
        return None
    rows = summary[(summary["part"] == "validation") & (summary["model"] != CHOSEN[0])]
    known = rows[["model", "classifier", "balanced_accuracy", "log_loss"]].itertuples(index=False)
    ranks = {(model, classifier): rank(*scores) for model, classifier, *scores in known}
    worst = rank(math.nan, math.nan)
    judged = any(r != worst for r in ranks.values())
    ranking = sorted(keys, key=lambda key: ranks.get(key, worst))
    by = "only" if len(keys) == 1 else "validation" if judged else "first"
    return Choice(ranking[0], ranking, by)


def best_runs(metrics: pd.DataFrame, key: Key, fold: str | None = None) -> list[pd.Series]:
    """Of each fold the best seed of a model and classifier, the best fold first.

    Parameters
    ----------
    metrics : the table of this name.
    fold : the only one to be taken; None: all.

    Returns
    -------
    Their rows, of the first seed where there are no validation rows; none where there is no run.
    """
    runs = metrics[(metrics["model"] == key[0]) & (metrics["classifier"] == key[1])]
    if fold is not None:
        runs = runs[runs["fold"] == fold]
    judged = runs[runs["part"] == "validation"]
    runs = judged if len(judged) else runs
    ranks = [rank(*pair) for pair in zip(runs["balanced_accuracy"], runs["log_loss"], strict=True)]
    found: dict[str, pd.Series] = {}
    for i in sorted(range(len(ranks)), key=ranks.__getitem__):
        found.setdefault(runs.iloc[i]["fold"], runs.iloc[i])
    return list(found.values())
