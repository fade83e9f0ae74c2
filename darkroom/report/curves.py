"""Figures of trainings: each network's curves, and those of several on common axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from darkroom.report.figures import (
    BLUE,
    COAL,
    GREEN,
    OLIVE,
    ORANGE,
    PAPER,
    PINK,
    SKY,
    VERMILION,
    WIDTH,
    in_words,
    plain,
    whole_numbers,
)

Dashes = Literal["-"] | tuple[int, tuple[float, ...]]

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

MOST_MODELS = 8  # networks drawn one below the other, and compared in one panel
MOST_TRAINING = 4  # networks beside which a panel has room for training curves too
WIDE_SPAN = 8  # longest training over shortest, from which their seconds need a log axis

# Told apart by colour, and in grey by the dashes; from the fifth on by a marker too.
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


@dataclass(frozen=True)
class Curve:
    """One network's training, from its history.csv.

    Attributes
    ----------
    model : name of the network. seed, fold : of this run.
    history : columns of `history.csv`.
    kept : epoch whose weights were kept, or None where it is not known.
    """

    model: str
    seed: str
    fold: str
    history: pd.DataFrame
    kept: int | None = None


def learning_curves(curves: Sequence[Curve]) -> Figure:
    """Loss and accuracy by epoch: a row of panels for each network, a line for each run."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    curves = [c for c in curves if len(c.history)]
    if not curves:
        return in_words("No network was trained, so there are no learning curves.")
    models = list(dict.fromkeys(c.model for c in curves))[:MOST_MODELS]
    figure = Figure(figsize=(WIDTH, 0.45 + 2.3 * len(models)), layout="constrained")
    axes = figure.subplots(len(models), 2, squeeze=False)
    for (left, right), model in zip(axes, models, strict=True):
        runs = [c for c in curves if c.model == model]
        fade = max(0.25, min(1.0, 1.6 / len(runs) ** 0.5))
        for axis, what in ((left, "loss"), (right, "accuracy")):
            for run in runs:
                table = run.history
                for column, color, style in ((what, BLUE, "--"), (f"val_{what}", ORANGE, "-")):
                    if column not in table or not table[column].notna().any():
                        continue
                    single = len(table) == 1
                    axis.plot(
                        table["epoch"],
                        table[column],
                        color=color,
                        linestyle=style,
                        alpha=fade,
                        marker="." if single else "",
                    )
                    kept = table.loc[table["epoch"] == run.kept, column]
                    if column.startswith("val_") and len(kept):
                        axis.plot(run.kept, kept.iloc[0], "o", color=color, ms=4.5, mec=PAPER)
            values = np.concatenate(
                [
                    r.history[c].to_numpy(float)
                    for r in runs
                    for c in (what, f"val_{what}")
                    if c in r.history
                ]
                or [np.zeros(1)]
            )
            _focus(axis, values, what)
            axis.set_title(f"{plain(model)}: {what}")
            axis.grid(axis="y")
            whole_numbers(axis)
        for axis in (left, right):
            axis.set_xlabel("epoch")
    seen = any("val_loss" in c.history and c.history["val_loss"].notna().any() for c in curves)
    handles = [Line2D([], [], color=BLUE, linestyle="--", label="training")]
    if seen:
        handles.append(Line2D([], [], color=ORANGE, label="validation"))
    if any(c.kept for c in curves):
        dot = Line2D([], [], color=ORANGE, marker="o", linestyle="", ms=4.5, label="epoch kept")
        handles.append(dot)
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
    return figure


def _focus(axis: Axes, values: NDArray[np.float64], what: str) -> None:
    """Limits that a diverging first epoch does not squeeze the rest out of."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    if what == "accuracy":
        low = float(values.min())
        axis.set_ylim(max(0.0, low - 0.04), min(1.0, float(values.max()) + 0.02) + 0.005)
        return
    high = min(float(values.max()), 4 * float(np.median(values)) + 1e-9)
    least = float(values.min())
    low = 0.0 if least < 0.4 * high else least - 0.1 * (high - least) - 0.01
    axis.set_ylim(low, 1.05 * high if low == 0 else high + 0.1 * (high - least) + 0.01)


@dataclass(frozen=True)
class Course:
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
    def of(cls, runs: Sequence[Curve]) -> Course:
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


COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "seconds")


def comparison(blocks: Sequence[tuple[str, Sequence[tuple[str, Course]]]]) -> Figure:
    """Loss and accuracy of several networks on common axes, by epoch and by seconds.

    Parameters
    ----------
    blocks : a title, and up to `MOST_MODELS` networks by the name to show, for each
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


def _block(part: SubFigure, title: str, networks: Sequence[tuple[str, Course]]) -> None:
    """Two rows of panels: by epoch, and by seconds where these are known."""
    from matplotlib.lines import Line2D

    judged = any("val_loss" in course.mean for _, course in networks)
    totals = [c.seconds[-1] for _, c in networks if np.isfinite(c.seconds[-1])]
    axes = part.subplots(2 if totals else 1, 2, squeeze=False)
    unit, size = _unit(max(totals, default=0))
    for row, axis_row in enumerate(axes):
        for axis, what in zip(axis_row, ("loss", "accuracy"), strict=True):
            seen = []
            for (_, course), (color, dashes, marker) in zip(networks, SERIES, strict=False):
                x = course.seconds / size if row else np.arange(1, len(course.seconds) + 1)
                main = f"val_{what}" if f"val_{what}" in course.mean else what
                if main not in course.mean or not np.isfinite(x).any():
                    continue
                y = course.mean[main]
                every = max(1, len(y) // 7)
                axis.plot(
                    x, y, color=color, linestyle=dashes, lw=1.7,
                    marker=marker if len(y) > 1 else marker or ".", ms=3.5, markevery=every,
                )  # fmt: skip
                seen.append(y)
                if course.runs > 1:
                    low, high = course.low[main], course.high[main]
                    axis.fill_between(x, low, high, color=color, alpha=0.13, lw=0)
                if main != what and what in course.mean and len(networks) <= MOST_TRAINING:
                    y = course.mean[what]
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
    """The unit in which so many seconds are told, and how many seconds it has."""
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
