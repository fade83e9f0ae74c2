"""The section of the chosen classifier, class by class: scores, threshold, confusion, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluate.ranking import CHOSEN, Key
from darkroom.features.predictions import SET_LEVEL
from darkroom.report import drawing
from darkroom.report.results import MOST_PROBABILITIES, Results, heading
from darkroom.report.words import count, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CELLS = 30  # classes of a full confusion matrix; more become a list of pairs
MOST_NUMBERS = 16  # classes of a matrix with a number in each cell
MOST_SIDE_BY_SIDE = 12  # classes of which several matrices stand side by side


def section(results: Results) -> dict[str, Any] | None:
    """Scores, threshold and confusions of the chosen one; None where nothing was evaluated."""
    if (key := results.reported) is None:
        return None
    names = results.split.classes
    t = results.class_metrics
    own = (t["model"] == key[0]) & (t["classifier"] == key[1]) & (t["part"] == results.part)
    t = t[own].set_index("class")
    confusion = results.confusion(key)
    rows = []
    for k, class_name in enumerate(names):
        mine: Any = t.loc[class_name]
        off = confusion[k].copy()
        off[k] = 0
        taken = int(off.argmax()) if off.sum() > 0 else None
        rows.append(
            {
                "name": class_name,
                "n": float(mine["n"]),
                "taken": None if taken is None else names[taken],
                "taken_share": None if taken is None else float(off[taken] / confusion[k].sum()),
                "cells": [
                    {s or "value": float(mine[f"{m}{s}"]) for s in ("", "_low", "_high")}
                    for m in ("precision", "recall", "f1", "roc_auc")
                ],
            }
        )
    side_by_side = len(names) <= MOST_SIDE_BY_SIDE
    return {
        "name": heading(key),
        "rows": rows,
        "matrix": len(names) <= MOST_CELLS,
        "curves": len(names) <= MOST_PROBABILITIES,
        "panels": [heading(k) for k in _panels(results)] if side_by_side else [],
        "thresholds": _thresholds(results, key),
        "prevalence": _prevalence(results, key),
        "sets": _sets(results, key),
        "set_level": round(100 * SET_LEVEL),
    }


def _sets(results: Results, key: Key) -> list[dict[str, Any]]:
    """Of each run how far its probabilities are off, and its sets of classes."""
    m = results.metrics
    m = m[results.of(m, key) & (m["part"] == results.part)]
    return [
        {
            "run": row["feature_set"],
            "fold": row["fold"],
            "set_from": float(row["set_from"]),
            "cells": [
                {s or "value": float(row[f"{name}{s}"]) for s in ("", "_low", "_high")}
                for name in ("calibration_error", "set_coverage", "set_size")
            ],
        }
        for _, row in m.iterrows()
    ]


def _thresholds(results: Results, key: Key) -> dict[str, Any] | None:
    """Thresholds of each run, and the rates that follow; None with more than two classes.

    `tables` has the threshold that decides, and that of the operating point where one is wanted.
    """
    t = results.thresholds
    t = t[results.of(t, key)]
    if t.empty:
        return None

    def rows(kind: str) -> list[dict[str, Any]]:
        return [
            {
                "run": row["feature_set"],
                "fold": row["fold"],
                "threshold": f"{row[f'{kind}threshold']:.4g}".replace("nan", "–"),
                "rates": [
                    {
                        s or "value": float(row[f"{results.part}_{kind}{rate}{s}"])
                        for s in ("", "_low", "_high")
                    }
                    for rate in ("sensitivity", "specificity", "precision", "npv")
                ],
            }
            for _, row in t.iterrows()
        ]

    wanted = t["operating_point"].iloc[0] if "operating_point" in t else ""
    return {
        "positive": t["positive"].iloc[0],
        "negative": results.split.classes[0],
        "how": t["how"].iloc[0].replace("_", " "),
        "tables": [("", rows("")), *([(wanted, rows("operating_"))] if wanted else [])],
    }


def _prevalence(results: Results, key: Key) -> dict[str, Any] | None:
    """How frequent a class is where precision was measured, and in all the data.

    Of two classes the second; of more the one whose shares differ most, and None where they
    differ by less than a percent point and training weighed no class.
    """
    shares = results.counts / results.counts.sum()
    own = shares[results.part].to_numpy()
    every = (results.counts.sum(axis=1) / results.counts.to_numpy().sum()).to_numpy()
    weighed = _weighed(results, key)
    two = len(own) == 2
    k = 1 if two else int(abs(own - every).argmax())
    if not two and abs(own[k] - every[k]) < 0.01 and not weighed:
        return None
    return {
        "name": results.split.classes[k],
        "part": share(own[k], 1),
        "data": share(every[k], 1),
        "weighed": weighed,
    }


def _weighed(results: Results, key: Key) -> bool:
    """Whether training balanced the classes, or weighed them."""
    settings = results.cfg["settings"]
    if settings["dataset"].get("augment", {}).get("balance"):
        return True
    return any(
        settings["models"].get(model, {}).get("class_weights", "none") != "none"
        or settings["classifiers"].get(classifier, {}).get("settings", {}).get("class_weight")
        for model, classifier in (results.ranking if key == CHOSEN else [key])
    )


def _panels(results: Results) -> list[Key]:
    """What is reported, then the best of each other classifier: at most four."""
    best: dict[str, Key] = {}
    for key in results.choice.ranking if results.choice else []:
        best.setdefault(key[1], key)
    if results.by_fold:
        best = {"": CHOSEN} | best
    return list(best.values())[:4]


def confusion_figure(results: Results) -> Figure:
    """Confusion matrices of the chosen one and of the best of each other classifier."""
    panels = {heading(key): results.confusion(key) for key in _panels(results)}
    return confusions(panels, results.split.classes)


def calibration_figure(results: Results) -> Figure:
    """Reliability diagrams of the same."""
    bins = {}
    for key in _panels(results):
        p = results.predicted(key)
        right = (p["class"] == p["predicted"]).to_numpy()
        bins[heading(key)] = reliability(p["confidence"].to_numpy(), right)
    return calibration(bins)


# ---------------------------------------------------------------- confusion


def confusions(
    panels: Mapping[str, NDArray[np.float64]], classes: Sequence[str], most: int = 25
) -> Figure:
    """Confusion matrices: rows are the truth, and a cell's shade is its share of the row.

    Parameters
    ----------
    panels : title to a (K, K) count of [truth, predicted], the chosen one first. Beside
        few classes up to four stand together; of many only the first is drawn, and of
        very many its most frequent confusions are listed.
    classes : K names. most : confusions listed.
    """
    from matplotlib.figure import Figure

    first = {t: m for t, m in panels.items() if m.sum() > 0}
    if not first:
        return drawing.in_words("Nothing was predicted, so nothing can be confused.")
    k = len(classes)
    if k > MOST_CELLS:
        title, matrix = next(iter(first.items()))
        return _worst_pairs(title, matrix, classes, most)
    chosen = dict(list(first.items())[: 4 if k <= 12 else 1])
    columns = min(len(chosen), 4 if k <= 3 else 3 if k <= 5 else 2)
    rows = -(-len(chosen) // columns)
    longest = min(max(len(str(c)) for c in classes), 16)
    room = drawing.WIDTH / columns - 0.5 - 0.065 * longest
    cell = min(0.62 if k <= 12 else 0.36, room / k)
    rotate = 0.07 * longest > cell
    below = 0.065 * longest if rotate else 0.13
    margin = 0.45 + 0.065 * longest  # left of a matrix, where its title begins
    titled = margin + 0.08 * min(max(map(len, chosen)), 40)
    width = max(cell * k + 0.1 + margin, min(titled, drawing.WIDTH / columns), 1.7)
    figure = Figure(
        figsize=(width * columns, (cell * k + below + 0.55) * rows), layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (title, matrix) in zip(axes, chosen.items(), strict=False):
        _matrix(
            axis,
            drawing.plain(title, max(14, int((width - margin) * 13))),
            matrix,
            classes,
            rotate,
            cell,
        )
    for axis in axes[len(chosen) :]:
        axis.set_visible(False)
    return figure


def _matrix(
    axis: Axes,
    title: str,
    matrix: NDArray[np.float64],
    classes: Sequence[str],
    rotate: bool,
    cell: float,
) -> None:
    """One matrix; `cell` is the side of a cell in inches."""
    from matplotlib.patches import Rectangle

    k = len(classes)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12)
    words = {(i, j): count(float(matrix[i, j])).replace(",", "") for i, j in np.argwhere(matrix)}
    widest = max(len(word) for word in words.values())
    size = min(8.0, cell * 72 * 0.8 / max(0.62 * widest, 1.4))
    for (i, j), word in words.items():
        strength = 0.06 + 0.94 * float(share[i, j]) ** 0.6
        color = drawing.BLUE if i == j else drawing.VERMILION
        axis.add_patch(
            Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=color, alpha=strength, linewidth=0)
        )
        if k <= MOST_NUMBERS:
            axis.text(
                j, i, word, ha="center", va="center_baseline", fontsize=size,
                color=drawing.ON if strength > 0.62 else drawing.INK,
            )  # fmt: skip
    axis.set_xlim(-0.5, k - 0.5)
    axis.set_ylim(k - 0.5, -0.5)
    axis.set_aspect("equal")
    step = [drawing.plain(c, 16) for c in classes]
    label = min(8.0, max(5.5, cell * 72 * 0.8))
    axis.set_xticks(range(k), step, rotation=90 if rotate else 0, fontsize=label)
    axis.set_yticks(range(k), step, fontsize=label)
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set(visible=True, color=drawing.RULE)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true class")
    axis.set_title(title)


def worst_pairs(matrix: NDArray[np.float64], most: int) -> list[tuple[int, int, float, float]]:
    """The most frequent confusions: (truth, predicted, count, share of the truth's rows)."""
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    rows = matrix.sum(axis=1)
    return [
        (int(i), int(j), float(off[i, j]), float(off[i, j] / rows[i]))
        for i, j in zip(*np.unravel_index(order, off.shape), strict=True)
        if off[i, j] > 0
    ]


def _worst_pairs(
    title: str, matrix: NDArray[np.float64], classes: Sequence[str], most: int
) -> Figure:
    from matplotlib.figure import Figure

    pairs = worst_pairs(matrix, most)
    if not pairs:
        return drawing.in_words(f"{title}: no image was taken for another class.")
    figure = Figure(figsize=(drawing.WIDTH, 0.9 + 0.22 * max(len(pairs), 2)), layout="constrained")
    axis = figure.subplots()
    counts = [number for _, _, number, _ in pairs]
    axis.barh(range(len(pairs)), counts, 0.66, color=drawing.VERMILION, lw=0)
    names = [
        f"{drawing.plain(classes[i], 26)} → {drawing.plain(classes[j], 26)}" for i, j, _, _ in pairs
    ]
    axis.set_yticks(range(len(pairs)), names)
    for y, (_, _, taken, part) in enumerate(pairs):
        axis.annotate(
            f"{count(taken)}  ({part:.0%})",
            (taken, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=drawing.MUTED,
            fontsize=8,
        )
    axis.set_xlim(0, 1.18 * max(counts))
    axis.set_ylim(len(pairs) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    drawing.whole_numbers(axis)
    axis.set_xlabel("images (share of the true class's images)")
    axis.set_title(f"{drawing.plain(title, 40)}: most frequent confusions, true → predicted")
    return figure


# ---------------------------------------------------------------- calibration


@dataclass(frozen=True)
class Reliability:
    """How often a classifier is right when it is so sure; (B,) arrays over bins of confidence.

    The expected calibration error is the mean distance of the two over all images (Naeini,
    Cooper and Hauskrecht 2015, AAAI, "Obtaining well calibrated probabilities").
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.float64]
    error: float


def reliability(
    confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_], bins: int = 10
) -> Reliability:
    """Bin predictions by the probability of the predicted class.

    Parameters
    ----------
    confidence : (N,) in 0..1. right : (N,) bool. bins : of equal width.
    """
    at = np.clip((np.asarray(confidence, float) * bins).astype(int), 0, bins - 1)
    count = np.bincount(at, minlength=bins).astype(float)
    safe = np.maximum(count, 1)
    mean = np.bincount(at, weights=confidence, minlength=bins) / safe
    hits = np.bincount(at, weights=right.astype(float), minlength=bins) / safe
    error = float((count * abs(mean - hits)).sum() / max(count.sum(), 1))
    return Reliability(mean, hits, count, error)


def calibration(panels: Mapping[str, Reliability]) -> Figure:
    """Reliability diagrams, up to four beside each other: on the line, a probability means what it says.

    Parameters
    ----------
    panels : title to its bins; how many images a bin holds stands below as bars.
    """
    from matplotlib.figure import Figure

    shown = {t: r for t, r in panels.items() if r.count.sum() > 0}
    shown = dict(list(shown.items())[:4])
    if not shown:
        return drawing.in_words("Nothing was predicted, so there is no calibration to show.")
    columns = max(2, min(len(shown), 4))
    figure = Figure(figsize=(drawing.WIDTH, 3.5 if columns == 2 else 2.6), layout="constrained")
    grid = figure.subplots(
        2, columns, squeeze=False, sharex=True, height_ratios=[4, 1], sharey="row"
    )
    for i, (title, r) in enumerate(shown.items()):
        top, bottom = grid[0, i], grid[1, i]
        top.plot([0, 1], [0, 1], color=drawing.MUTED, lw=0.8, ls=(0, (3, 2)))
        filled = r.count > 0
        spread = 1.96 * np.sqrt(
            np.maximum(r.accuracy * (1 - r.accuracy), 0)[filled] / r.count[filled]
        )
        color = drawing.VERMILION if i == 0 else drawing.BLUE
        top.vlines(
            r.confidence[filled],
            np.clip(r.accuracy[filled] - spread, 0, 1),
            np.clip(r.accuracy[filled] + spread, 0, 1),
            color=color,
            lw=1,
        )
        top.plot(
            r.confidence[filled], r.accuracy[filled], "-o", color=color, ms=4, mec=drawing.PAPER
        )
        top.set_xlim(0, 1)
        top.set_ylim(0, 1.02)
        top.set_title(f"{drawing.plain(title, 72 // columns)}\nerror {r.error:.3f}", fontsize=8)
        edges = np.linspace(0, 1, len(r.count) + 1)
        share = r.count / r.count.sum()
        bottom.stairs(share, edges, fill=True, color=drawing.GRAY)
        bottom.set_xlabel("probability given")
        bottom.set_yticks([])
        bottom.spines["left"].set_visible(False)
    for j in range(len(shown), columns):
        grid[0, j].set_visible(False)
        grid[1, j].set_visible(False)
    grid[0, 0].set_ylabel("share that was right")
    grid[1, 0].set_ylabel("images", rotation=0, ha="right", va="center")
    return figure
