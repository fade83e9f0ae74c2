"""The section of images that were made worse: how much the best model loses by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.report import drawing
from darkroom.report.caveat import Caveat, Weight
from darkroom.report.curves import COLORS
from darkroom.report.results import Results
from darkroom.report.words import number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MUCH = (
    0.05  # of balanced accuracy, lost over the five strengths of a kind, from which it is a warning
)
MARKS = "osD^vX"


def section(results: Results) -> dict[str, Any] | None:
    """A line of each kind with a cell of each strength; None where it was not measured."""
    t = results.robustness
    if t is None:
        return None
    clean = t[t["kind"] == "none"].iloc[0]
    rows = []
    for kind, own in _kinds(t).items():
        cells = [
            {"value": r["accuracy"], "low": r["accuracy_low"], "high": r["accuracy_high"]}
            for r in own.to_dict("records")
        ]
        rows.append({"kind": kind, "cells": cells, "mean": float(own["accuracy"].mean())})
    unlike = t.loc[t["strength"] == 5, ["kind", "unlike"]].dropna()
    return {
        "model": str(t.attrs.get("model", "")),
        "images": int(clean["images"]),
        "clean": {"value": clean["accuracy"], "low": clean["accuracy_low"], "high": clean["accuracy_high"]},
        "rows": rows,
        "unlike": [(kind, f"{100 * share:.0f} %") for kind, share in unlike.to_numpy().tolist()],
    }  # fmt: skip


def caveats(results: Results) -> list[Caveat]:
    """The kind that costs most over all strengths, where it is beyond chance."""
    t = results.robustness
    if t is None:
        return []
    kinds = _kinds(t)
    worst = min(kinds, key=lambda kind: float(kinds[kind]["change"].mean()))
    own = kinds[worst]
    lost = -float(own["change"].mean())
    if not (own["change_high"] < 0).any():
        return []
    clean, hardest = t[t["kind"] == "none"].iloc[0], own.iloc[-1]
    return [
        Caveat(
            Weight.LIMIT if lost > MUCH else Weight.NOTE,
            "Pictures made worse",
            f"Of six ways to make test images worse, {worst} costs most: over five strengths the accuracy is "
            f"{number(own['accuracy'].mean())} in the mean and {number(hardest['accuracy'])} at the strongest, "
            f"where it is {number(clean['accuracy'])} on the same images unchanged.",
            "robustness",
        )
    ]


def _kinds(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each kind, by strength."""
    kinds = [kind for kind in dict.fromkeys(table["kind"]) if kind != "none"]
    return {kind: table[table["kind"] == kind].sort_values("strength") for kind in kinds}


def figure(results: Results) -> Figure:
    """Accuracy by strength, a line a kind."""
    from matplotlib.figure import Figure

    t = results.robustness
    if t is None:
        return drawing.in_words("Not measured: robustness is not set.")
    clean = float(t.loc[t["kind"] == "none", "accuracy"].iloc[0])
    made = Figure(figsize=(drawing.WIDTH * 0.8, 3.2), layout="constrained")
    axis = made.subplots()
    for (kind, own), color, mark in zip(_kinds(t).items(), COLORS, MARKS, strict=False):
        x, y = own["strength"].to_numpy(float), own["accuracy"].to_numpy(float)
        low, high = own["accuracy_low"].to_numpy(float), own["accuracy_high"].to_numpy(float)
        axis.plot(np.r_[0, x], np.r_[clean, y], color=color, marker=mark, ms=4, label=kind)
        axis.fill_between(x, low, high, color=color, alpha=0.08, lw=0)
    axis.axhline(clean, color=drawing.MUTED, lw=0.8, ls=(0, (3, 2)))
    axis.set_xlabel("strength")
    axis.set_ylabel("accuracy")
    axis.set_ylim(0, 1.02)
    drawing.whole_numbers(axis)
    axis.legend(loc="lower left", ncols=2)
    return made
