"""ROC and precision-recall curves of each class against the rest, on the reported part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom import metrics
from darkroom.features.predictions import probabilities
from darkroom.report import drawing
from darkroom.report.results import MOST_PROBABILITIES, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

COLORS = (
    drawing.BLUE, drawing.VERMILION, drawing.GREEN, drawing.ORANGE, drawing.PINK,
    drawing.SKY, drawing.OLIVE, drawing.COAL, drawing.GRAY, drawing.INK,
)  # fmt: skip


@dataclass(frozen=True)
class Ranked:
    """What lies at or above each score, from the highest on: (M,) each, from nothing to all.

    Attributes
    ----------
    recall : share of the positives.
    false_alarms : share of the negatives.
    precision : share of positives in it; at the first entry, where nothing is, as at the second.
    """

    recall: Floats
    false_alarms: Floats
    precision: Floats

    @classmethod
    def of(cls, positive: NDArray[np.bool_], score: NDArray[Any]) -> Ranked:
        """Rank rows by score; those of equal score enter together.

        Parameters
        ----------
        positive : (N,) bool, at least one of each kind.
        score : (N,) higher for positives; may be infinite.
        """
        level, at = np.unique(score, return_inverse=True)
        hits = np.bincount(at, weights=positive, minlength=len(level))[::-1].cumsum()
        false = np.bincount(at, weights=~positive, minlength=len(level))[::-1].cumsum()
        precision = hits / (hits + false)
        return cls(
            np.r_[0.0, hits / hits[-1]],
            np.r_[0.0, false / false[-1]],
            np.r_[precision[0], precision],
        )


def by_class(results: Results) -> dict[str, list[Ranked]]:
    """Of each class its curves, one a run; with two classes of the second alone.

    Nothing where there are too many classes, or nothing was evaluated. A run whose rows are all
    or none of a class has no curve of it.
    """
    key, names = results.reported, results.split.classes
    if key is None or len(names) > MOST_PROBABILITIES:
        return {}
    found: dict[str, list[Ranked]] = {}
    for _, run in results.predicted(key).groupby(["fold", "feature_set", "classifier"], sort=False):
        truth, p = run["class"].to_numpy(), probabilities(run, names)
        for c in range(1, 2) if len(names) == 2 else range(len(names)):
            positive = truth == c
            if positive.any() and not positive.all():
                ranked = Ranked.of(positive, metrics.rest_odds(p, c))
                found.setdefault(names[c], []).append(ranked)
    return found


def figure(results: Results) -> Figure:
    """Both curves of every class of what is reported."""
    if len(results.split.classes) > MOST_PROBABILITIES:
        return drawing.in_words(f"Curves are drawn of up to {MOST_PROBABILITIES} classes.")
    counts = results.counts[results.part]
    share = counts / max(counts.sum(), 1)
    return drawn(by_class(results), {str(name): float(part) for name, part in share.items()})


def drawn(curves: Mapping[str, Sequence[Ranked]], share: Mapping[str, float]) -> Figure:
    """ROC curves, and beside them precision-recall curves: a colour a class, a line a run.

    Parameters
    ----------
    curves : of each class.
    share : of the images that are of a class; drawn where there is one class alone: it is the
        precision of guessing.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if not curves:
        return drawing.in_words("Nothing was predicted of two classes, so there are no curves.")
    rows = -(-len(curves) // 3)
    figure = Figure(figsize=(drawing.WIDTH, 3.4 + 0.2 * rows), layout="constrained")
    roc, precision = figure.subplots(1, 2)
    guess = {"color": drawing.MUTED, "lw": 0.8, "ls": (0, (3, 2)), "label": "guessing"}
    roc.plot([0, 1], [0, 1], **guess)
    if len(curves) == 1:
        precision.axhline(share[next(iter(curves))], **guess)
    for color, runs in zip(COLORS, curves.values(), strict=False):
        style: dict[str, Any] = {
            "color": color,
            "alpha": max(0.25, min(1.0, 1.6 / len(runs) ** 0.5)),
        }
        for run in runs:
            roc.plot(run.false_alarms, run.recall, **style)
            precision.step(run.recall, run.precision, where="pre", **style)
    for axis in (roc, precision):
        axis.set_xlim(0, 1.01)
        axis.set_ylim(0, 1.02)
    roc.set(title="ROC", xlabel="1 − specificity", ylabel="sensitivity")
    precision.set(title="precision and recall", xlabel="recall", ylabel="precision")
    handles = [
        Line2D([], [], color=color, label=drawing.plain(name))
        for color, name in zip(COLORS, curves, strict=False)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(curves)))
    return figure
