"""The section of comparisons: networks side by side, by epoch, by seconds and by accuracy.

The order, and the one that others are compared with, come from the validation images.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluate.comparisons import verdicts
from darkroom.evaluate.ranking import Key
from darkroom.names import HEAD
from darkroom.report.drawing import (
    BLUE,
    COAL,
    GREEN,
    OLIVE,
    ORANGE,
    PINK,
    SKY,
    VERMILION,
    WIDTH,
    in_words,
    plain,
    whole_numbers,
)
from darkroom.report.results import Curve, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Dashes = Literal["-"] | tuple[int, tuple[float, ...]]

VERDICTS = ("better", "alike", "worse", "unknown")
MOST = 8  # networks compared in one panel
MOST_VALUE = 60  # letters of a setting's value
COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "seconds")
MOST_TRAINING = 4  # networks beside which a panel has room for training curves too
WIDE_SPAN = 8  # longest training over shortest, from which their seconds need a log axis

# Distinct by colour, and in grey by the dashes; from the fifth on by a marker too.
SERIES: tuple[tuple[str, Dashes, str], ...] = (
    (BLUE, "-", ""),
    (VERMILION, (0, (5, 1.8)), ""),
    (GREEN, (0, (1.2, 1.2)), ""),
    (COAL, (0, (6, 1.5, 1.2, 1.5)), ""),
    (ORANGE, "-", "o"),
    (SKY, (0, (5, 1.8)), "s"),
    (PINK, "-", "^"),
    (OLIVE, (0, (5, 1.8)), "D"),
)


def section(results: Results) -> dict[str, Any]:
    """For each group its table, and in words how the others differ from the best."""
    return {
        "groups": [_comparison(results, group) for group in groups(results)],
        "judged": any("val_loss" in c.history for c in results.curves),
    }


def figure(results: Results) -> Figure:
    """For each group the mean curves of its first networks on common axes."""
    out = []
    for group in groups(results):
        shown = list(zip(group.labels, group.models, strict=True))[:MOST]
        curves = [(label, MeanCurve.of(_runs(results, model))) for label, model in shown]
        out.append((group.name or "all networks", curves))
    return comparison(out)


def _runs(results: Results, model: str) -> list[Curve]:
    return [c for c in results.curves if c.model == model and len(c.history)]


@dataclass(frozen=True)
class Group:
    """Networks to compare: of one `compare`, or all of the data set.

    Attributes
    ----------
    name : of the `compare`, or empty for all networks.
    models : the best by validation first.
    labels : the names to show, in that order.
    by : `validation`, or `first` where there are no validation images to order them by.
    """

    name: str
    models: list[str]
    labels: list[str]
    by: str


def groups(results: Results) -> list[Group]:
    """Each comparison that was asked for; all networks, where no one of these has them all."""
    trained = list(dict.fromkeys(c.model for c in results.curves if len(c.history)))
    sets = {
        name: [m for m in members if m in trained]
        for name, members in results.cfg["compared"].items()
        if sum(m in trained for m in members) > 1
    }
    if len(trained) > 1 and not any(len(own) == len(trained) for own in sets.values()):
        sets[""] = trained
    ranking = results.choice.ranking if results.choice else []
    at = {key[0]: i for i, key in enumerate(ranking) if key[1] == HEAD}
    by = "first" if results.best is None else "validation"
    out = []
    for name, own in sets.items():
        ordered = sorted(own, key=lambda m: at.get(m, len(at)))
        labels = [m.removeprefix(f"{name}-") if name else m for m in ordered]
        out.append(Group(name, ordered, labels, by))
    return out


def _comparison(results: Results, group: Group) -> dict[str, Any]:
    best: Key = (group.models[0], HEAD)
    differ = results.cfg["compared"].get(group.name, {})
    rows: list[dict[str, Any]] = []
    against = [
        None if model == best[0] else results.difference((model, HEAD), best)
        for model in group.models
    ]
    found = verdicts(against)
    for label, model, less, verdict in zip(group.labels, group.models, against, found, strict=True):
        runs = _runs(results, model)
        score = results.score((model, HEAD), results.part)
        times = [float(r.history["seconds"].sum()) for r in runs if "seconds" in r.history]
        rows.append(
            {
                "label": label,
                "differs": written(differ.get(model, {})),
                "runs": len(runs),
                "loss": _last_and_best(runs, "val_loss"),
                "accuracy": _last_and_best(runs, "val_accuracy"),
                "seconds": float(np.mean(times)) if times else math.nan,
                "score": score,
                "against": less,
                "verdict": verdict,
                "best": model == best[0],
            }
        )
    spans = [r["seconds"] for r in rows[:MOST] if r["seconds"] > 0]
    return {
        "name": group.name,
        "by": group.by,
        "rows": rows,
        "best": group.labels[0],
        **{v: [r["label"] for r in rows if r["verdict"] == v] for v in VERDICTS},
        "drawn": min(len(rows), MOST),
        "training": len(rows) <= MOST_TRAINING,
        "several": max((r["runs"] for r in rows), default=0) > 1,
        "logarithmic": bool(spans) and min(spans) * WIDE_SPAN < max(spans),
    }


def written(differences: Mapping[str, Any]) -> str:
    """Settings in a few words: `optimizer adam, batch 1`."""
    words = []
    for path, value in differences.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        words.append(
            f"{path.removesuffix('.name')} {text if len(text) <= MOST_VALUE else 'its own'}"
        )
    return ", ".join(words)


def _last_and_best(runs: Sequence[Curve], column: str) -> dict[str, Any] | None:
    """The last value and the best one, means over runs; the epochs of the best."""
    values = [r.history[column].to_numpy(float) for r in runs if column in r.history]
    values = [v for v in values if np.isfinite(v).any()]
    if not values:
        return None
    pick = np.nanargmax if column.endswith("accuracy") else np.nanargmin
    at = [int(pick(v)) for v in values]
    epochs = [i + 1 for i in at]
    return {
        "last": float(np.mean([v[-1] for v in values])),
        "best": float(np.mean([v[i] for v, i in zip(values, at, strict=True)])),
        "epoch": f"{min(epochs)}"
        if min(epochs) == max(epochs)
        else f"{min(epochs)} to {max(epochs)}",
    }


# ---------------------------------------------------------------- drawing


@dataclass(frozen=True)
class MeanCurve:
    """Means over the runs of one network, epoch by epoch, as far as all its runs went.

    Attributes
    ----------
    seconds : (E,) mean time from the start of training; NaN where it is not known.
    mean, low, high : by column of history.csv, (E,) each: mean, least and greatest of the runs.
    """

    seconds: NDArray[np.float64]
    mean: dict[str, NDArray[np.float64]]
    low: dict[str, NDArray[np.float64]]
    high: dict[str, NDArray[np.float64]]
    runs: int

    @classmethod
    def of(cls, runs: Sequence[Curve]) -> MeanCurve:
        """Average the runs of one network; none of them may be empty."""
        n = min(len(r.history) for r in runs)
        columns = [c for c in COLUMNS if all(c in r.history for r in runs)]
        values = {
            c: np.stack([r.history[c].to_numpy(float)[:n] for r in runs])
            for c in columns
            if all(r.history[c].notna().any() for r in runs)
        }
        seconds = values.pop("seconds", np.full((1, n), np.nan)).cumsum(axis=1).mean(axis=0)
        return cls(
            seconds,
            {c: v.mean(axis=0) for c, v in values.items()},
            {c: v.min(axis=0) for c, v in values.items()},
            {c: v.max(axis=0) for c, v in values.items()},
            len(runs),
        )


def comparison(blocks: Sequence[tuple[str, Sequence[tuple[str, MeanCurve]]]]) -> Figure:
    """Loss and accuracy of several networks on common axes, by epoch and by seconds.

    Parameters
    ----------
    blocks : a title, and up to `MOST` networks by the name to show, for each
        comparison. Thick: validation, with a band from the least to the greatest of several
        runs. Thin: training, beside at most `MOST_TRAINING` networks.
    """
    from matplotlib.figure import Figure

    if not blocks:
        return in_words("There are no two networks to lay side by side.")
    figure = Figure(figsize=(WIDTH, 5.1 * len(blocks)), layout="constrained")
    parts = figure.subfigures(len(blocks), 1, squeeze=False, hspace=0.06).ravel()
    for part, (title, networks) in zip(parts, blocks, strict=True):
        _block(part, title if len(blocks) > 1 else "", networks)
    return figure


def _block(part: SubFigure, title: str, networks: Sequence[tuple[str, MeanCurve]]) -> None:
    """Two rows of panels: by epoch, and by seconds where these are known."""
    from matplotlib.lines import Line2D

    judged = any("val_loss" in curve.mean for _, curve in networks)
    totals = [c.seconds[-1] for _, c in networks if np.isfinite(c.seconds[-1])]
    axes = part.subplots(2 if totals else 1, 2, squeeze=False)
    unit, size = _unit(max(totals, default=0))
    for row, axis_row in enumerate(axes):
        for axis, what in zip(axis_row, ("loss", "accuracy"), strict=True):
            seen = []
            for (_, curve), (color, dashes, marker) in zip(networks, SERIES, strict=False):
                x = curve.seconds / size if row else np.arange(1, len(curve.seconds) + 1)
                main = f"val_{what}" if f"val_{what}" in curve.mean else what
                if main not in curve.mean or not np.isfinite(x).any():
                    continue
                y = curve.mean[main]
                every = max(1, len(y) // 7)
                axis.plot(
                    x, y, color=color, linestyle=dashes, lw=1.7,
                    marker=marker if len(y) > 1 else marker or ".", ms=3.5, markevery=every,
                )  # fmt: skip
                seen.append(y)
                if curve.runs > 1:
                    low, high = curve.low[main], curve.high[main]
                    axis.fill_between(x, low, high, color=color, alpha=0.13, lw=0)
                if main != what and what in curve.mean and len(networks) <= MOST_TRAINING:
                    y = curve.mean[what]
                    axis.plot(x, y, color=color, linestyle=dashes, lw=0.7, alpha=0.75)
                    seen.append(y)
            _frame(axis, np.concatenate(seen or [np.zeros(1)]))
            axis.grid(axis="y")
            if row:
                if min(totals) * WIDE_SPAN < max(totals):
                    _log_seconds(axis)
                else:
                    axis.set_xlim(left=0)
                axis.set_xlabel(f"{unit} of training")
            else:
                whole_numbers(axis)
                axis.set_xlabel("epoch")
                axis.set_title(f"{'validation' if judged else 'training'} {what}")
    labels = [plain(label, 32) for label, _ in networks]
    handles = [
        Line2D([], [], color=color, linestyle=dashes, marker=marker, ms=3.5, lw=1.7, label=label)
        for label, (color, dashes, marker) in zip(labels, SERIES, strict=False)
    ]
    part.legend(
        handles=handles, loc="outside upper left", handlelength=3.4,
        ncols=max(1, min(len(handles), 4, round(90 / (max(map(len, labels)) + 10)))),
        title=plain(title, 60) or None, alignment="left",
    )  # fmt: skip


def _unit(longest: float) -> tuple[str, float]:
    """The unit to show so many seconds in, and how many seconds it has."""
    if longest < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if longest < 3 * 3600 else ("hours", 3600.0)


def _log_seconds(axis: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _frame(axis: Axes, values: NDArray[np.float64]) -> None:
    """Limits about the curves; a diverging one does not squeeze the rest out of sight."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, middle = float(values.min()), float(np.median(values))
    high = min(float(values.max()), middle + 6 * (middle - low) + 0.05)
    margin = 0.06 * (high - low) + 1e-3
    axis.set_ylim(low - margin, high + margin)
