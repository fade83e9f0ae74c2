"""The section of scores: every model and classifier, and classifiers by feature set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.evaluate.ranking import CHOSEN, Key
from darkroom.names import HEAD
from darkroom.report import drawing
from darkroom.report.results import Results, classifier_name, heading

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
}
MOST = 40  # models and classifiers that are drawn; the table has all


def section(results: Results) -> dict[str, Any]:
    """The table of scores, and the matrix of classifiers by feature set."""
    rows = [_row(results, key) for key in results.ranking]
    return {
        "metrics": METRICS,
        "rows": rows,
        "several": any(row["runs"] > 1 for row in rows),
        "by_fold": [_row(results, CHOSEN)] if results.by_fold else [],
        "matrix": matrix(results),
        "most": MOST,
    }


def _row(results: Results, key: Key) -> dict[str, Any]:
    score = results.score(key, results.part)
    assert score is not None
    cells = []
    for metric in METRICS:
        spread = float(score[f"{metric}_sd"])
        cells.append(
            {
                "value": float(score[metric]),
                "sd": None if not math.isfinite(spread) or score["runs"] < 2 else spread,
                "low": float(score[f"{metric}_low"]),
                "high": float(score[f"{metric}_high"]),
            }
        )
    judged = results.score(key, "validation")
    model, classifier = (heading(key), "") if key == CHOSEN else key
    return {
        "model": model,
        "classifier": classifier,
        "runs": int(score["runs"]),
        "cells": cells,
        "validation": math.nan if judged is None else float(judged["balanced_accuracy"]),
        "chosen": key == results.best,
    }


def matrix(results: Results) -> dict[str, Any] | None:
    """Accuracy of each classifier on each feature set; None where one of the two is only one.

    Both stand in the order of their best member by validation.
    """
    known = {key: results.score(key, results.part) for key in results.ranking}
    sets = list(dict.fromkeys(model for model, _ in known))
    columns = list(dict.fromkeys(classifier for _, classifier in known))
    if len(sets) < 2 or len([c for c in columns if c != HEAD]) < 2:
        return None
    best = results.best
    return {
        "columns": [classifier_name(c) for c in columns],
        "rows": [(s, [known.get((s, c)) for c in columns]) for s in sets],
        "chosen": None if best is None else (best[0], columns.index(best[1])),
    }


def figure(results: Results) -> Figure:
    """Accuracy of every model and classifier with its interval."""
    import pandas as pd

    keys = results.ranking
    # Several classifiers on several feature sets: those of one set together, the best set first.
    sets = list(dict.fromkeys(model for model, _ in keys))
    grouped = matrix(results) is not None
    if grouped:
        keys = sorted(keys[:MOST], key=lambda key: sets.index(key[0]))
    lines = []
    runs: dict[Key, list[float]] = {}
    m = results.metrics
    for key in keys:
        score = results.score(key, results.part)
        assert score is not None
        own = (m["model"] == key[0]) & (m["classifier"] == key[1]) & (m["part"] == results.part)
        runs[key] = m.loc[own, "accuracy"].dropna().tolist()
        lines.append(
            {
                "key": key,
                "name": classifier_name(key[1]) if grouped else heading(key),
                "group": key[0] if grouped else "",
                "part": results.part,
                "chosen": key == results.best,
                **{k: score[k] for k in ("accuracy", "accuracy_low", "accuracy_high")},
            }
        )
    if not lines:
        return drawing.in_words("Nothing was evaluated, so there are no scores.")
    return drawn(pd.DataFrame(lines), runs, results.baseline)


def drawn(
    table: pd.DataFrame, runs: Mapping[tuple[str, str], Sequence[float]], baseline: float | None
) -> Figure:
    """Accuracy of every model and classifier with its interval.

    Parameters
    ----------
    table : rows in the order to show them: `name`, `accuracy`, `accuracy_low`,
        `accuracy_high`, `key` (what `runs` is looked up by), `chosen` (bool), `part`, `group`
        (a heading above the rows that have it; empty: none). The first `MOST` are drawn.
    runs : accuracy of each run (seed and fold) by key: small ticks.
    baseline : accuracy of always predicting the most frequent training class.
    """
    from matplotlib.figure import Figure

    table = table[table["accuracy"].notna()].head(MOST)
    if not len(table):
        return drawing.in_words("Nothing was evaluated, so there are no scores.")
    labels: list[str] = []
    heads: list[int] = []
    places: list[int] = []
    for group, name in zip(table["group"], table["name"], strict=True):
        if group and (not heads or labels[heads[-1]] != drawing.plain(group, 40)):
            heads.append(len(labels))
            labels.append(drawing.plain(group, 40))
        places.append(len(labels))
        labels.append(drawing.plain(name, 40))
    height = 0.85 + (0.22 if heads else 0.3) * max(len(labels), 2)
    figure = Figure(figsize=(drawing.WIDTH, height), layout="constrained")
    axis = figure.subplots()
    seen: list[float] = []
    for y, (_, line) in zip(places, table.iterrows(), strict=True):
        color = drawing.VERMILION if line["chosen"] else drawing.BLUE
        low, high, value = (float(line[k]) for k in ("accuracy_low", "accuracy_high", "accuracy"))
        axis.axhline(y, color=drawing.RULE, lw=0.6, zorder=0)
        if np.isfinite(low) and np.isfinite(high):
            axis.plot([low, high], [y, y], color=color, lw=1.8, solid_capstyle="butt")
            seen += [low, high]
        single = np.asarray(runs.get(line["key"], ()), float)
        if len(single) > 1:
            axis.plot(single, np.full(len(single), y), "|", color=color, ms=8, mew=0.8, alpha=0.6)
        axis.plot(
            value,
            y,
            marker="D" if line["chosen"] else "o",
            color=color,
            ms=5.5,
            mec=drawing.PAPER,
            ls="",
        )
        seen += [value, *single]
    if baseline is not None and np.isfinite(baseline):
        near = baseline > min(seen) - 0.5 * max(max(seen) - min(seen), 0.1)
        if near:
            axis.axvline(baseline, color=drawing.MUTED, lw=1, ls=(0, (3, 2)), zorder=0)
            seen.append(baseline)
    low, high = min(seen), max(seen)
    margin = max(0.06 * (high - low), 0.005)
    axis.set_xlim(max(0, low - margin), min(1.0 + 0.3 * margin, high + margin))
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_yticks(range(len(labels)), labels)
    for head in heads:
        axis.get_yticklabels()[head].set_fontweight("bold")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel(f"accuracy on the {table['part'].iloc[0]} images")
    return figure
